"""Commands that mine, train and evaluate.

May import: `cli`, `indexer`.
"""
