"""Folders, zip and tar files, DICOMDIRs and single files, listed as one stream of members.

No pixel is looked at here.
May import: `indexer.archive.limits`, `indexer.archive.pictures`, `indexer.errors`.
"""
