"""Asking a text store: one query tree, compiled by each store in its own way.

May import: `search.language`, `search.paging`, `search.results`.
"""
