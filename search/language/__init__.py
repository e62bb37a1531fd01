"""The query language: from what a user types to a tree of conditions.

Knows no store.
May import: `indexer.database.text`, `indexer.words`.
"""
