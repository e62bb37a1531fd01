"""One run of the indexer: listing, decoding in worker processes, reading, committing.

May import: all of `indexer` but training, evaluation and paper.
"""
