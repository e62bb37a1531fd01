"""The audit: who asked for what, in a chain of rows that shows what was changed or cut.

`trail` is the file, `writing` the thread that fills it, `recording` what sees the requests.
May import: `search.web.people.access`, `search.web.queries`, `search.web.rendering.responses`.
"""
