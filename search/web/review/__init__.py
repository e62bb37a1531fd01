"""People correct what the cascade says: one film after the other, on a case's page, and by API.

May import: `search`, `search.web` (people, queries, rendering, state).
"""
