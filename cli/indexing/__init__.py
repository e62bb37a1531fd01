"""Commands that fill a database and tell how that went."""
