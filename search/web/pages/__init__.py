"""The pages: HTML made here, which works without scripts.

May import: `search`, `search.web.state`, `search.web.queries`.
"""
