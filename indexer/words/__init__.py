"""The words of chest radiology: findings read out of reports, and sentences as vectors.

No picture and no store is known here.
May import: `indexer.annotation`, `indexer.errors`.
"""
