"""What is done to a whole database now and then: copied, moved, merged, counted, verified, repaired.

May import: `indexer.database`.
"""
