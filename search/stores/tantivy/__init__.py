"""Searches in the tantivy index of a database.

May import: `search.stores.backend`, `indexer.database.text.tantivy`.
"""
