"""Is a text English? Told by small words, so that no finding is read in a language unknown here.

A text counts as foreign where words of other languages, and words with letters that English has
not, outnumber those of English; a whole report also where more of its words are unknown than are
certainly English, as in "Pneumothorax fehlt". The words are those of ``languages.toml``; known are
those of the chest's vocabulary and of the cues as well.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from indexer.annotation import vocabulary
from indexer.words.cues import CUES, NORMAL_STATEMENTS

__all__ = ["denies", "is_english", "is_english_report"]

_DATA = tomllib.loads(Path(__file__).with_name("languages.toml").read_text(encoding="utf-8"))
_ENGLISH = frozenset(_DATA["english"].split())
_DENYING = frozenset(_DATA["denying"].split())
_FOREIGN = frozenset(word for words in _DATA["foreign"].values() for word in words.split())
# English words that other languages have, too, tell nothing of a report of three words.
_CERTAIN = (_ENGLISH - frozenset(_DATA["shared"].split())) | frozenset(_DATA["certain"].split())
# Endings of English words that few other languages have, and of medicine's in all of them.
_KNOWN_ENDS = ("ing", "ed", "ly", "ness", "ity", "ities", "al", "ic", "ous", "oid", "ary", "tion")
_SENTENCE_ENDS = re.compile(r"[.!?\n]+")
# Words of German reports: "Z.n. Pneumothorax" says that it is over.
_ABBREVIATED = re.compile(r"\b(?:z\.\s?n|v\.\s?a|o\.\s?b|i\.\s?b)\.", re.IGNORECASE)
# "og" is an orogastric tube in English and "and" in Danish and Norwegian.
_OROGASTRIC = re.compile(r"\bog(?= tubes?\b)")
# Single letters are abbreviations in every language.
_WORD = re.compile(r"[^\W\d_]{2,}")
# The last letters of Latin scripts, but for those of Vietnamese.
_LATIN, _VIETNAMESE = "\u024f", ("\u1e00", "\u1eff")


@lru_cache(maxsize=4096)
def is_english(text: str) -> bool:
    """Whether `text` may be read as English; true of a text that tells nothing."""
    words = _words(text)
    foreign = sum(word in _FOREIGN or not word.isascii() for word in words)
    return foreign <= sum(word in _ENGLISH for word in words)


@lru_cache(maxsize=16)
def is_english_report(text: str) -> bool:
    """Whether a whole report may be read as English: a stricter `is_english`.

    One sentence that is English without doubt decides it.
    """
    if not is_english(text):
        return False
    certain = strange = 0
    for sentence in _SENTENCE_ENDS.split(text.lower()):
        sure, odd = _counted(sentence)
        if sure and not odd:
            return True
        certain, strange = certain + sure, strange + odd
    return strange + len(_ABBREVIATED.findall(text)) <= certain


def _words(text: str) -> list[str]:
    return _WORD.findall(_OROGASTRIC.sub("", text.lower()))


def _counted(sentence: str) -> tuple[int, int]:
    """How many of its words are English without doubt, and how many are no English."""
    words = _words(sentence)
    certain = sum(word in _CERTAIN or word.endswith(("ed", "ly")) for word in words)
    return certain, sum(
        word in _FOREIGN or not (word in _CERTAIN or _is_known(word)) for word in words
    )


def _is_known(word: str) -> bool:
    known = _known()
    return word in known or word.removesuffix("s") in known or word.endswith(_KNOWN_ENDS)


@cache
def _known() -> frozenset[str]:
    cues = re.sub(r"\\[A-Za-z]", " ", " ".join((*(p for _, p in CUES), NORMAL_STATEMENTS)))
    texts = (*_strings(vocabulary()), cues)
    own = (_DATA["english"], _DATA["shared"], _DATA["known"])
    return frozenset(word for text in (*texts, *own) for word in _WORD.findall(text.lower()))


def _strings(data: Any) -> Iterator[str]:
    """All texts in a table of a TOML file, its keys too."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        yield from data
        for value in data.values():
            yield from _strings(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _strings(value)


def denies(sentence: str) -> bool:
    """Whether a sentence in another language denies something.

    One in another script is always taken to: its words are not known here.
    """
    words = _WORD.findall(sentence.lower())
    return any(word in _DENYING for word in words) or not all(map(_is_latin, sentence))


def _is_latin(letter: str) -> bool:
    first, last = _VIETNAMESE
    return letter <= _LATIN or first <= letter <= last or not letter.isalpha()
