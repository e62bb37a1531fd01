"""What is done to a whole database at times: copied, moved, merged, counted, verified, repaired.

May import: `indexer.database`.
"""
