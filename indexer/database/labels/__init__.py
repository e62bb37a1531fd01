"""What people say of images after the cascade has read them, and what that makes of a document.

May import: `indexer.annotation`; the types of documents.
"""
