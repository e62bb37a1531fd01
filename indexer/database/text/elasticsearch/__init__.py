"""The text store in an Elasticsearch server.

May import: `indexer.database.text.documents`, `indexer.errors`.
"""
