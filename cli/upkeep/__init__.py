"""Commands that look after a database and the installation.

May import: `cli`, `indexer` but what trains.
"""
