"""What every text store offers to a search: one query tree, compiled by each in its own way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from indexer.database.documents import Document
from search.results import FacetCount
from search.tree import Node

__all__ = ["Backend", "Page", "open_backend"]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a word search.

    Parameters
    ----------
    total
        Images that match, on all pages.
    hits
        Documents with their scores: score descending, then id.
    facets
        Counts over all matching images, by facet.
    """

    total: int
    hits: Sequence[tuple[float, Document]]
    facets: Mapping[str, Sequence[FacetCount]]


class Backend(Protocol):
    """The reading side of a text store."""

    def search(
        self,
        query: Node,
        filters: Node,
        *,
        facets: Sequence[str] = (),
        facet_size: int = 20,
        limit: int = 20,
        offset: int = 0,
    ) -> Page:
        """Images that match both trees; `filters` does not count in the score."""

    def keys(self, query: Node) -> npt.NDArray[np.int64]:
        """The FAISS keys of all images that match, ascending."""

    def values(self, field: str) -> list[str]:
        """The values a keyword field has in the store."""

    def close(self) -> None:
        """Let go of files and connections."""


def open_backend(kind: str, path: Path) -> Backend:
    """The reading side of the text store that a manifest names.

    Parameters
    ----------
    kind
        ``"tantivy"``.
    path
        The store's folder inside the database.
    """
    if kind != "tantivy":
        raise ValueError(f"no text store of kind {kind!r}")
    from indexer.database.text_embedded import EmbeddedTextStore
    from search.backends.embedded import EmbeddedBackend

    return EmbeddedBackend(EmbeddedTextStore(path))
