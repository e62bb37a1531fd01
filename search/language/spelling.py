"""What a word that nothing knows was most likely meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Collection

__all__ = ["nearest"]


def nearest(word: str, choices: Collection[str]) -> str | None:
    """The choice that `word` was most likely meant to be, or None."""
    word = word[:64].lower()
    close = difflib.get_close_matches(word, choices, 1, 0.75)
    close += sorted(choice for choice in choices if word and choice.startswith(word))
    close += difflib.get_close_matches(word, choices, 1, 0.5)
    return close[0] if close else None
