"""Cohorts: images that people collected, in a file of their own beside the ledger.

May import: `indexer.database` (access, checksums, durable, sqlite), `indexer.errors`.
"""
