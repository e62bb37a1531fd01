"""Commands that let other programs and people ask a database.

May import: `cli`, `search`, `indexer` but what trains.
"""
