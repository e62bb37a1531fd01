"""Searches by several things at once, in every store."""
