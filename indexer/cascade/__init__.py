"""Running a trained cascade: a bundle, its networks, and the readings of pictures.

Nothing here trains or judges; torch is imported by the runtimes `torch` and `cuda`; for
OpenVINO only at the first use of a bundle on a machine, when its networks are exported.
May import: `indexer.archive`, `indexer.words`, `indexer.simulation`.
"""
