"""Searches by vector: the images nearest to a picture or to a sentence.

May import: `indexer.database.vectors`.
"""
