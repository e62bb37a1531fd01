"""Searches by meaning, and by several things at once: rankings fused to one list with reasons.

May import: `search.pictures`, `search.snapshot`, `search.stores` and what those may.
"""
