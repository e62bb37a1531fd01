"""Asking a text store by one query tree, compiled by each in its own way, and a vector store.

May import: `search.language`, `search.paging`, `search.results`.
"""
