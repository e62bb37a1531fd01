"""Searches of a database by picture, by words and by meaning.

May import: `indexer.database`, `indexer.cascade`, `indexer.archive`, `indexer.words`,
`indexer.pipeline.single`.
"""
