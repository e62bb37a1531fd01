"""What is done to a whole database now and then: copied, moved, merged, counted, looked at.

May import: `indexer.database`.
"""
