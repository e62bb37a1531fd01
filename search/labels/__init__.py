"""What people say of a database's images: asked for, checked, recorded.

May import: `search.service`, `search.models`, `search.language`, `indexer.database`.
"""
