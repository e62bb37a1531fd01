"""Hits as files for other programs: any number of them, with the columns that are wanted.

May import: `search.service`, `search.snapshot`, `search.language`.
"""
