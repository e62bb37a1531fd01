"""Requests as tests make them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search.request import ImageFile, ImageId, PictureSource, SearchRequest
from search.results import Results
from search.service import SearchService

__all__ = ["as_picture", "similar", "together", "words"]


def words(service: SearchService, query: str, **more: Any) -> Results:
    """A search by words."""
    return service.search(SearchRequest(words=query, **_tuples(more)))


def together(
    service: SearchService, query: str, mode: Any = "hybrid", *, image: Any = None, **more: Any
) -> Results:
    """A search by meaning, or by several things at once."""
    picture = None if image is None else as_picture(image)
    return service.search(SearchRequest.of(query, mode, picture=picture, **_tuples(more)))


def similar(service: SearchService, source: str | Path, k: int = 10, **more: Any) -> Results:
    """The images most like one."""
    return service.search(SearchRequest(picture=as_picture(source), limit=k, **_tuples(more)))


def as_picture(source: str | Path) -> PictureSource:
    """A file where it is a path, else an id."""
    return ImageFile(source) if isinstance(source, Path) else ImageId(source)


def _tuples(options: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
