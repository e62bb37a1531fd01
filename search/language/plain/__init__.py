"""Free text as people type it, read by rules into a query of the language.

May import: `search.language`, whose lexicon and vocabulary it asks.
"""
