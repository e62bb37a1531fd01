"""What follows from scores and vectors: how sure a finding is, what a study says, what is unusual.

May import: `indexer.annotation`, `indexer.errors`.
"""
