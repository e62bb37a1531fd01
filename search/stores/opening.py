"""Opening the reading sides of the text store and the vector store that a database has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from search.stores.backend import Backend

if TYPE_CHECKING:
    from indexer.database.vectors.index import Vectors
    from search.stores.vectors import VectorStore

__all__ = ["open_backend", "open_vectors"]


def open_backend(
    kind: str, path: Path, *, index: str | None = None, url: str | None = None
) -> Backend:
    """The reading side of the text store that a manifest names.

    Parameters
    ----------
    kind
        ``"tantivy"`` or ``"elasticsearch"``.
    path
        The embedded store's folder inside the database.
    index, url
        Of a manifest that names Elasticsearch; it is asked nothing yet.
    """
    if kind == "elasticsearch" and index is not None:
        from search.stores.elasticsearch.backend import ElasticsearchBackend

        return ElasticsearchBackend.connect(index, url)
    if kind != "tantivy":
        raise ValueError(f"no text store of kind {kind!r}")
    from indexer.database.text.tantivy.store import EmbeddedTextStore
    from search.stores.tantivy.backend import EmbeddedBackend

    return EmbeddedBackend(EmbeddedTextStore(path))


def open_vectors(
    kind: str, held: Vectors, dimensions: int, text: Callable[[], Backend]
) -> VectorStore:
    """The reading side of the vector store that a manifest names.

    Parameters
    ----------
    kind
        ``"faiss"`` or ``"elasticsearch"``.
    held
        The vectors of the shards, of one moment.
    dimensions
        Length of the vectors.
    text
        Gives the text store, where vectors stand in its documents.
    """
    if kind == "elasticsearch":
        from search.stores.elasticsearch.backend import ElasticsearchBackend
        from search.stores.elasticsearch.vectors import ElasticsearchVectors

        backend = text()
        if not isinstance(backend, ElasticsearchBackend):
            raise ValueError("vectors in Elasticsearch need words in Elasticsearch")
        return ElasticsearchVectors(backend, held, dimensions)
    if kind != "faiss":
        raise ValueError(f"no vector store of kind {kind!r}")
    from search.stores.faiss import FaissVectors

    return FaissVectors(held)
