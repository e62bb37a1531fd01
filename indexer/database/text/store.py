"""What every text store offers to the writer of a database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from indexer.database.text.documents import Document

if TYPE_CHECKING:
    from indexer.database.text.elasticsearch.vectors import DocumentVectors

__all__ = ["TextStore", "is_outdated", "open_text_store"]


class TextStore(Protocol):
    """A full-text store of documents.

    A document's id is its key: a later upsert replaces the earlier document.
    """

    def prepare(self, fresh: Callable[[], None]) -> None:
        """Make ready for writing; quick where the store is ready or cannot be reached.

        Parameters
        ----------
        fresh
            Called before an empty store is made where there was none.

        Raises
        ------
        TextStoreUnavailable
            A server does not answer.
        DatabaseMismatch
            Another version of cxrdex made the store.
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

    def wipe(self, documents: Iterable[Document]) -> None:
        """Leave no byte of documents that were dropped or replaced; searches go on meanwhile.

        Parameters
        ----------
        documents
            All that the store holds; taken only where they are needed.
        """

    def finish(self) -> None:
        """Let searchers see all that was written."""

    def close(self) -> None:
        """Let go of files and connections; nothing may be called afterwards."""


def open_text_store(
    kind: str,
    path: Path,
    *,
    create: bool = False,
    index: str | None = None,
    url: str | None = None,
    embeddings: DocumentVectors | None = None,
) -> TextStore:
    """The writer of the text store that a manifest names.

    Parameters
    ----------
    kind
        ``"tantivy"`` or ``"elasticsearch"``.
    path
        The embedded store's folder inside the database.
    create
        Make that folder and the index in it where there is none.
    index, url
        Of a manifest that names Elasticsearch; it is asked nothing yet.
    embeddings
        The vectors that documents get there; None where they get none.
    """
    if kind == "elasticsearch" and index is not None:
        from indexer.database.text.elasticsearch.store import ElasticsearchTextStore

        return ElasticsearchTextStore.connect(index, url, embeddings)
    if kind != "tantivy":
        raise ValueError(f"no text store of kind {kind!r}")
    from indexer.database.text.tantivy.store import EmbeddedTextStore

    return EmbeddedTextStore(path, create=create)


def is_outdated(kind: str, path: Path) -> bool:
    """Whether an earlier cxrdex made the store of this folder, so that it must be filled anew."""
    from indexer.database.text.tantivy import store as tantivy

    return kind == "tantivy" and tantivy.is_outdated(path)
