"""Searches by vector: the images nearest to a picture.

May import: `indexer.database.vectors`, `search.models`, `search.snapshot`, `search.language`.
"""
