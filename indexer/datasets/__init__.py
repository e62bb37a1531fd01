"""Annotated images to learn from and to be judged on, and the labels mined from them.

May import: `indexer.cascade.labels`, `indexer.words`, `indexer.archive`.
"""
