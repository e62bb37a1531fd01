"""Cohorts in the browser and over the REST API: collected, changed, combined, exported.

May import: `search`, `search.web` (pages.rendering, people, queries, state), `indexer.database`.
"""
