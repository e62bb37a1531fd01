"""Searches by meaning, and by several things at once: rankings fused to one list with reasons.

May import: `search.pictures`, `search.stores`, `search.language` and what those may,
`search.highlights`.
"""
