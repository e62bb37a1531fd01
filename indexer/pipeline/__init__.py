"""One run of the indexer: listing, decoding in worker processes, reading, committing.

May import: `indexer.database`, `indexer.cascade`, `indexer.datasets`, `indexer.archive`.
"""
