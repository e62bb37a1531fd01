"""Titles of findings that complete what is being typed."""

from __future__ import annotations

import re
from typing import Any

from search.service import SearchService
from search.web.queries import FacetQuery

__all__ = ["completions"]

_FEWEST_LETTERS = 2
_MAX_COMPLETIONS = 8
# The words at the end that may be the beginning of a title, outside of fields and brackets.
_END = re.compile(r"(?:[\w'-]+ ){0,3}[\w'-]+$")


def completions(service: SearchService, text: str) -> list[dict[str, Any]]:
    """What a query may be about to become, the commonest findings first.

    Returns
    -------
    list
        ``{"query", "finding", "count"}``: the text with its end completed to the title of a
        finding, and how many images have that.
    """
    end = _END.search(text)
    if end is None:
        return []
    counts = service.search(FacetQuery(facet=["disease"], size=1000).request()).facets["disease"]
    words = end[0].lower().split(" ")
    # The longest run of words at the end that begins a title, or a word of one.
    for start in range(len(words)):
        begun = " ".join(words[start:])
        if len(begun) < _FEWEST_LETTERS:
            break
        fits = re.compile(rf"\b{re.escape(begun)}")
        found = [count for count in counts if fits.search(str(count.value))]
        if found:
            kept = text[: len(text) - len(begun)]
            return [
                {"query": f"{kept}{c.value}", "finding": c.value, "count": c.count}
                for c in found[:_MAX_COMPLETIONS]
            ]
    return []
