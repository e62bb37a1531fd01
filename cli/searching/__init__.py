"""Commands that ask a database.

May import: `cli`, `search`, `indexer` but what trains.
"""
