"""Findings in everyday words and in full, for a sentence model that has read few reports.

"Fluid around the lung" lies nearer to "lung, hypoinflation" than to "pleural effusion" in it, but
nearest to "fluid in the pleural space around the lung".
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping

from indexer.words.headings import Heading, headings
from search.language.lexicon import Lexicon

__all__ = ["in_full", "in_plain_words"]

_ABBREVIATION = re.compile(r"(?<![\w'-])[A-Za-z]{2,5}(?![\w'-])")


@functools.cache
def _plain() -> Mapping[str, str]:
    return {heading.name: heading.plain for heading in headings() if heading.plain}


def in_plain_words(annotation: str) -> str:
    """An annotation's text with its disease in everyday words; unchanged where there are none."""
    words = annotation.split(", ")
    # A disease may have a comma of its own: "hernia, hiatal".
    for end in range(len(words), 0, -1):
        plain = _plain().get(", ".join(words[:end]))
        if plain is not None:
            return ", ".join([plain, *words[end:]])
    return annotation


def in_full(sentence: str) -> str:
    """A sentence whose abbreviations are written out: "PTX" is read as "pneumothorax"."""
    lexicon = Lexicon.load()

    def written(match: re.Match[str]) -> str:
        word = match[0]
        meant = lexicon.senses(word)
        if not meant or not all(_shortens(word.lower(), heading) for heading in meant):
            return word
        return " or ".join(_in_order(heading.name) for heading in meant)

    return _ABBREVIATION.sub(written, sentence)


def _shortens(word: str, heading: Heading) -> bool:
    """Whether the letters of a word are some of a heading's, or of a form's, in their order."""
    if word == heading.name:
        return False
    longer = (text for text in (heading.name, *heading.forms) if word not in text)
    ways = (way for text in longer for way in (text, _in_order(text)))
    return not set(word) & set("aeiouy") or any(
        way[0] == word[0] and _in_this_order(word, iter(way)) for way in ways
    )


def _in_this_order(word: str, letters: Iterator[str]) -> bool:
    return all(letter in letters for letter in word)


def _in_order(heading: str) -> str:
    """A heading as people say it: "chronic obstructive pulmonary disease"."""
    return " ".join(reversed(heading.split(", ")))
