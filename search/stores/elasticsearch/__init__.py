"""Searches in Elasticsearch.

May import: `search.stores.backend`, `search.stores.matches`, `search.stores.vectors`,
`indexer.database.text.elasticsearch`.
"""
