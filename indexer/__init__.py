"""Fills the database: from the files of an archive to embeddings and documents.

Every file format is known here; what searches reads what this package writes.
May import: nothing of `search` or `cli`.
"""
