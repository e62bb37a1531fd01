"""The ledger: what was seen, done, skipped and failed, in one SQLite file with migrations.

May import: `indexer.database.text`, `indexer.database.vectors`, `indexer.database.access`,
`indexer.database.outcomes`, `indexer.database.sqlite`.
"""
