"""Files of reports: under which names they may be filed, and the text in each form they come in.

May import: `indexer.archive.sources`.
"""
