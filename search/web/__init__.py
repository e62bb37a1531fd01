"""The page and the REST API: a server for one database, in one process.

Pages and API ask the same `search.service.SearchService`; requests name ids, never paths.
May import: `search`.
"""
