"""Cohorts in the browser and over the REST API: collected, changed, combined, exported.

May import: `search`, `search.web` (exports, people, queries, rendering, state), `indexer.database`.
"""
