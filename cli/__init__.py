"""The command `cxrdex`: each command parses, calls and prints.

May import: `search`, `indexer`.
"""
