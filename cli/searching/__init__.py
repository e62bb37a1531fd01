"""Commands that ask a database."""
