"""What happens to a file after it was read: look-up of duplicates, model, commits.

May import: `indexer.pipeline.reports`, `indexer.pipeline.workers`, `indexer.database`,
`indexer.cascade`.
"""
