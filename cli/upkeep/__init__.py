"""Commands that look after a database and the installation.

May import: `cli`, `search`, `indexer` but what trains.
"""
