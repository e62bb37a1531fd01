"""The text store inside the database folder, a tantivy index.

May import: `indexer.database.text` but the other store.
"""
