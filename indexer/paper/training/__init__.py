"""Training the paper's cascade: a CNN on classes, an RNN, composite labels, and again on those.

`cascade` runs all rounds, `rounds` one of them; `classifier` and `annotator` fit its two networks.
May import: the rest of `indexer.paper`, `indexer.learning`.
"""
