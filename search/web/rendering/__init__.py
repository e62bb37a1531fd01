"""What pages are made of: templates filled in, cards of studies, lists of facets.

May import: `search` below `search.web`, `search.web.problems`, `search.web.queries`, `indexer`.
"""
