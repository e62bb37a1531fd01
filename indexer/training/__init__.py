"""Training of the bundles that are indexed with.

May import: `indexer.evaluation`, `indexer.learning` and what those may; not `indexer.paper`, whose
cascade the command line hands over.
"""
