"""Searches by vector: the images nearest to a picture.

May import: `search.language`, `search.snapshot`, `search.models`, `search.request`,
`search.paging`, `search.results`, `search.counting`, `search.highlights`,
`search.understanding`, `search.stores`.
"""
