"""Documents and the stores that hold them for full text: tantivy or Elasticsearch.

May import: `indexer.archive`, `indexer.words`, `indexer.database.durable`.
"""
