"""Grey images out of files: DICOM, and plain pictures such as PNG, JPEG and TIFF.

What is no chest radiograph is told apart here.
May import: `indexer.archive.decoders`, `indexer.archive.limits`, `indexer.archive.plausibility`,
`indexer.archive.windowing`.
"""
