"""Running a trained cascade: a bundle, its networks, and the readings of pictures.

Nothing here trains or judges; torch is imported only where no other runtime serves.
May import: `indexer.archive`, `indexer.words`, `indexer.simulation`.
"""
