"""The ledger: what was seen, done, skipped and failed, in one SQLite file with migrations.

May import: `indexer.database.sqlite`, `indexer.errors`.
"""
