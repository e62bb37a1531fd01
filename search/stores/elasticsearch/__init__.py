"""Searches in Elasticsearch.

May import: `search.stores.backend`, `indexer.database.text.elasticsearch`.
"""
