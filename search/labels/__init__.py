"""What people say of a database's images: asked for, checked, recorded.

May import: `search.service`, `search.language`, `indexer.database`.
"""
