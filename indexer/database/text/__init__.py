"""Documents and the stores that hold them for full text: tantivy or Elasticsearch.

May import: `indexer.database.access`, `indexer.database.durable`, `indexer.database.checksums`,
`indexer.archive`, `indexer.words`.
"""
