"""Training one CNN of a bundle, here or on a machine with a GPU that has nothing but its pictures.

May import: `indexer.training.sources`, `indexer.training.recipe`, `indexer.evaluation`,
`indexer.learning`, `indexer.datasets`, `indexer.cascade`, `indexer.words`.
"""
