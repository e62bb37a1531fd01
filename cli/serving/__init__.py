"""Commands that let other programs and people ask a database."""
