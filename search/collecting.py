"""All images of an answer, to be collected."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from search.request import SearchRequest
from search.service import SearchService

__all__ = ["MAX_COLLECTED", "Collected", "collect"]

#: At most this many images of one answer are collected; by meaning and by picture 1,000 are ranked.
MAX_COLLECTED = 10_000


class Collected(NamedTuple):
    """Images of an answer, best first, and how many the answer has."""

    images: tuple[str, ...]
    total: int


def collect(service: SearchService, request: SearchRequest, most: int = MAX_COLLECTED) -> Collected:
    """The images that a request finds, whatever its page and its rows.

    Parameters
    ----------
    most
        How many are taken at most, the best.

    Raises
    ------
    QueryError
        As of `search.service.SearchService.search`.
    """
    whole = replace(request, group=None, facets=(), limit=most, page=1, after=None)
    found = service.search(whole)
    return Collected(tuple(hit.id for hit in found.hits), found.total)
