"""The pages of searches, cases and help: HTML made here, which works without scripts.

May import: the other folders of `search.web` but `api` and `app`.
"""
