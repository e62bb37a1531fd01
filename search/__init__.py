"""Searches of a database by picture, by words and by meaning.

May import: `indexer` for reading; nothing of `cli`.
"""
