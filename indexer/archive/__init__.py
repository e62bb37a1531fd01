"""Where images come from: one file of an archive to one grey image and what may be known of it.

Only what is allow-listed leaves this package (`deidentify`).
May import: `indexer.annotation`, `indexer.errors`.
"""
