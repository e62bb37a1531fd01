"""Commands that fill a database and tell how that went.

May import: `cli`, `indexer` but what trains.
"""
