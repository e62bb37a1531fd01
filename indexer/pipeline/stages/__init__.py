"""What happens to a file after it was read: look-up of duplicates, model, commits.

May import: `indexer.database`, `indexer.cascade`, `indexer.pipeline.reports`.
"""
