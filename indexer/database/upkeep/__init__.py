"""What is done to a whole database now and then: copies, moves, a look at who can read it.

May import: `indexer.database`.
"""
