"""The overview: what is in a database, whether its parts are well, its labels on a map.

May import: `search`, `search.web` (people, queries, rendering, state), `indexer`.
"""
