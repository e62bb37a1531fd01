"""Commands that fill a database and tell how that went.

May import: `cli`, `search`, `indexer` but what trains.
"""
