"""Pixel decoders: which decodes what (`transfer_syntaxes`), one of our own for JPEG (`jpeg`), and
pictures decoded at less than their full size (`reduced`).

May import: `indexer.archive.windowing`, `indexer.errors`.
"""
