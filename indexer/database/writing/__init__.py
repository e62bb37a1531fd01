"""What a writer does to a database, each in its module; `indexer.database.writer` has the door.

May import the ledger, the stores and what lies beside them in `indexer.database`.
"""
