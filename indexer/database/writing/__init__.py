"""What a writer does to a database, each in its module; `indexer.database.writer` has the door.

May import: `indexer.database` but its writer and its reader.
"""
