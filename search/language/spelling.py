"""How words are mistyped: what one was most likely meant to be, and how far off it may be."""

from __future__ import annotations

import difflib
from collections.abc import Collection

__all__ = ["most_edits", "nearest"]

_LONGEST_ONE_EDIT = 5


def nearest(word: str, choices: Collection[str]) -> str | None:
    """The choice that `word` was most likely meant to be, or None."""
    word = word[:64].lower()
    close = difflib.get_close_matches(word, choices, 1, 0.75)
    close += sorted(choice for choice in choices if word and choice.startswith(word))
    close += difflib.get_close_matches(word, choices, 1, 0.5)
    return close[0] if close else None


def most_edits(word: str) -> int:
    """How many letters of a word may be mistyped: 1 of a short one, 2 of a longer one."""
    return 1 if len(word) <= _LONGEST_ONE_EDIT else 2
