"""Opening the reading side of the text store that a database has."""

from __future__ import annotations

from pathlib import Path

from search.stores.backend import Backend

__all__ = ["open_backend"]


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
