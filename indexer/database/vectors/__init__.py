"""Embedding shards, which are the truth, and the FAISS index that is built from them.

May import: `indexer.database.access`, `indexer.database.durable`, `indexer.database.checksums`.
"""
