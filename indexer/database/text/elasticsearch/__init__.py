"""The text store in an Elasticsearch server.

May import: `indexer.database.text` but the other store.
"""
