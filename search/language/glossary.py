"""Findings in everyday words, for a sentence model that has read few radiology reports.

"Fluid around the lung" lies nearer to "lung, hypoinflation" than to "pleural effusion" in it, but
nearest to "fluid in the pleural space around the lung".
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from indexer.words.headings import headings

__all__ = ["in_plain_words"]


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
