"""What every text store offers to the writer of a database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from indexer.database.documents import Document

__all__ = ["TextStore", "is_outdated", "open_text_store"]


class TextStore(Protocol):
    """A full-text store of documents.

    A document's id is its key: a later upsert replaces the earlier document.
    """

    def apply(self, upserts: Iterable[Document], deletes: Iterable[str]) -> None:
        """Write documents and drop ids, durably: the change is on disk when this returns.

        Repeating a call changes nothing. An id stands in `upserts` or in `deletes`, never in both,
        and at most once; an unknown id in `deletes` is no error.
        """

    def hashes(self) -> Iterator[tuple[str, str]]:
        """Every stored document's id and `document_hash`, in any order."""

    def clear(self) -> None:
        """Drop all documents, durably."""

    def close(self) -> None:
        """Let go of files and connections; nothing may be called afterwards."""


def open_text_store(kind: str, path: Path, *, create: bool = False) -> TextStore:
    """The writer of the text store that a manifest names.

    Parameters
    ----------
    kind
        ``"tantivy"``.
    path
        The store's folder inside the database.
    create
        Make the folder and the index where there is none.
    """
    if kind != "tantivy":
        raise ValueError(f"no text store of kind {kind!r}")
    from indexer.database.text_embedded import EmbeddedTextStore

    return EmbeddedTextStore(path, create=create)


def is_outdated(kind: str, path: Path) -> bool:
    """Whether an earlier cxrdex made the store of this folder, so that it must be filled anew."""
    from indexer.database import text_embedded

    return kind == "tantivy" and text_embedded.is_outdated(path)
