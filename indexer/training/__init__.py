"""Training of the bundles that are indexed with.

The paper's cascade, which a bundle may carry too, is handed over by the command line.
May import: `indexer.evaluation`, `indexer.learning` and what those may.
"""
