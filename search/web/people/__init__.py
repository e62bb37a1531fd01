"""Who asks: people, their roles, and what a route takes them for.

Routes declare their role with `access.require`; one that declares none is for administrators.
May import: `search.web.rendering` and what that may.
"""
