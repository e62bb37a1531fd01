"""Training of the bundles that are indexed with.

May import: `indexer.paper`, whose cascade is part of a bundle, and all below it.
"""
