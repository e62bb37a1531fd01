"""Is a text English? Told by small words, so that no finding is read in a language unknown here.

A text counts as foreign where words of other languages, and words with letters that English has
not, outnumber those of English. The words are those of ``languages.toml``.
"""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from pathlib import Path

__all__ = ["denies", "is_english"]

_DATA = tomllib.loads(Path(__file__).with_name("languages.toml").read_text(encoding="utf-8"))
_ENGLISH = frozenset(_DATA["english"].split())
_DENYING = frozenset(_DATA["denying"].split())
_FOREIGN = frozenset(word for words in _DATA["foreign"].values() for word in words.split())
# Single letters are abbreviations in every language.
_WORD = re.compile(r"[^\W\d_]{2,}")
# The last letters of Latin scripts, but for those of Vietnamese.
_LATIN, _VIETNAMESE = "\u024f", ("\u1e00", "\u1eff")


@lru_cache(maxsize=4096)
def is_english(text: str) -> bool:
    """Whether `text` may be read as English; true of a text that tells nothing."""
    words = _WORD.findall(text.lower())
    foreign = sum(word in _FOREIGN or not word.isascii() for word in words)
    return foreign <= sum(word in _ENGLISH for word in words)


def denies(sentence: str) -> bool:
    """Whether a sentence in another language denies something.

    One in another script is always taken to: its words are not known here.
    """
    words = _WORD.findall(sentence.lower())
    return any(word in _DENYING for word in words) or not all(map(_is_latin, sentence))


def _is_latin(letter: str) -> bool:
    first, last = _VIETNAMESE
    return letter <= _LATIN or first <= letter <= last or not letter.isalpha()
