"""The ledger: what was seen, done, skipped and failed, in one SQLite file with migrations.

May import: `indexer.database.text`, `indexer.database.vectors`, `indexer.database.labels`,
`indexer.database.access`, `indexer.database.durable`, `indexer.database.outcomes`,
`indexer.database.checksums`, `indexer.database.sqlite`.
"""
