"""Searches in the tantivy index of a database.

May import: `search.stores.backend`, `search.models`, `indexer.database.text.tantivy`.
"""
