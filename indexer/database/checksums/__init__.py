"""Checksums of a database's files, so that a byte that changes by itself is noticed.

May import: `indexer.database` (access, durable, sqlite), `indexer.errors`.
"""
