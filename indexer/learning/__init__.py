"""What every training shares: starts of networks, augmentation, composite labels, reports.

May import: `indexer.datasets`, `indexer.cascade` and what those may.
"""
