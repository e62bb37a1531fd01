"""The database folder: ledger, embeddings, documents; one writer, any number of readers.

May import: `indexer.cascade`, `indexer.archive`, `indexer.words`.
"""
