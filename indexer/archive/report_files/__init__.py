"""Files of reports: the names they may be filed under, the text in each form, and its sections.

May import: `indexer.archive.sources`.
"""
