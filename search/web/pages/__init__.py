"""Routes of the pages of searches, cases, failures and help; their HTML is in `templates`.

May import: the other folders of `search.web` but `api` and `app`.
"""
