"""DICOM files: which of them are chest radiographs, and their pixels as one upright grey image.

References are to the DICOM standard, PS3.3 (objects) and PS3.5 (encoding).
May import: what `indexer.archive.pictures` may.
"""
