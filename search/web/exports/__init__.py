"""Tables of images, as `cxrdex export` writes them, for pages and API.

May import: `search.web.state` and below, `search.web.people`, `search.export`.
"""
