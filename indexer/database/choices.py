"""What is chosen for a database, and held to from then on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from indexer import advice
from indexer.database.layout import Layout, Manifest
from indexer.errors import DatabaseError, DatabaseMismatch

if TYPE_CHECKING:
    from indexer.cascade.bundle import Bundle

__all__ = ["Choices", "choose_text"]


@dataclass(frozen=True, slots=True)
class Choices:
    """What is asked for of a database: one that is made now gets it, another must have it.

    Parameters
    ----------
    text_store, elasticsearch_url
        ``"embedded"`` or ``"elasticsearch"``, and its address. None for Elasticsearch where an
        address is given or configured.
    pool_studies
        Whether the images of a study share their findings; None for yes, or for what it has.
    group
        Name of a group that may read the database from now on; None leaves that as it is.
    polarity
        By beginnings of manufacturers' names, whether small values are white whatever a header
        says, from now on; None for as the header has it. Makers that are not named stay as set.
    vector_store
        ``"faiss"``, or ``"elasticsearch"`` for vectors beside the words; None for FAISS, or for
        what it has.
    """

    text_store: str | None = None
    elasticsearch_url: str | None = None
    pool_studies: bool | None = None
    group: str | None = None
    polarity: Mapping[str, bool | None] = field(default_factory=dict)
    vector_store: str | None = None

    def manifest(self, bundle: Bundle, key: str) -> Manifest:
        """The manifest of a new database.

        Parameters
        ----------
        bundle, key
            The bundle that fills it, and the fingerprint of its id key.

        Raises
        ------
        DatabaseError
            As `choose_text`.
        """
        kind, url = self.text()
        made = Manifest.of(bundle, key, kind, url, pool_studies=self.pool_studies is not False)
        return replace(made, vectors=self.vectors)

    def text(self) -> tuple[str, str | None]:
        """Kind of a new database's text store, and the address of Elasticsearch.

        Raises
        ------
        DatabaseError
            As `choose_text`.
        """
        return choose_text(self.text_store, self.elasticsearch_url, self.vector_store)[:2]

    @property
    def vectors(self) -> str:
        """What finds the nearest vectors in a new database."""
        return self.vector_store or "faiss"

    def check_stores(self, layout: Layout, manifest: Manifest) -> None:
        """Refuse a database with another text store or vector store.

        Raises
        ------
        DatabaseMismatch
            Its text says what to do.
        """
        from indexer.database.text.elasticsearch.settings import checked_urls

        made = "embedded" if manifest.text == "tantivy" else manifest.text
        url = self.elasticsearch_url
        if self.vector_store not in (None, manifest.vectors):
            raise DatabaseMismatch(
                f"the database {layout.root} was made with the {manifest.vectors} vector store: "
                "leave the option out, or index the archive into a new folder"
            )
        if self.text_store not in (None, made) or (url and made == "embedded"):
            raise DatabaseMismatch(
                f"the database {layout.root} was made with the {made} text store: leave the "
                "option out, or index the archive into a new folder"
            )
        if url and manifest.text_url != ",".join(checked_urls(url)):
            raise DatabaseMismatch(
                f"the database {layout.root} was made with Elasticsearch at {manifest.text_url}: "
                "where the server has moved, set CXRDEX_ELASTICSEARCH_URL"
            )

    def with_polarity(self, manifest: Manifest) -> Manifest:
        """A manifest that remembers what is said of manufacturers beside what it knows of them."""
        known: dict[str, bool | None] = {**(manifest.polarity or {}), **self.polarity}
        kept = {maker: white for maker, white in known.items() if white is not None}
        return replace(manifest, polarity=kept or None)

    def check_pooling(self, layout: Layout, manifest: Manifest) -> None:
        """Refuse a database that pools studies where it is not to, or the other way round.

        Raises
        ------
        DatabaseMismatch
            Its text says what to do.
        """
        if self.pool_studies in (None, manifest.thresholds is not None):
            return
        does, setting = "does not pool", "pool_studies=True"
        if not self.pool_studies:
            does, setting = "pools", "pool_studies=False"
        raise DatabaseMismatch(
            f"the database {layout.root} {does} the images of a study: leave `{setting}` out, or "
            "index the archive into a new folder"
        )


def choose_text(
    store: str | None, url: str | None, vectors: str | None = None
) -> tuple[str, str | None, str]:
    """Kind of a new database's text store, the address of Elasticsearch, and why it is so.

    Parameters
    ----------
    store, url, vectors
        What was asked for, as of `Choices`.

    Raises
    ------
    DatabaseError
        What was asked for contradicts itself or the configuration.
    """
    from indexer.database.text.elasticsearch.settings import (
        ElasticsearchSettings,
        checked_urls,
        configured_urls,
    )

    if vectors == "elasticsearch":
        if store == "embedded":
            raise DatabaseError(
                "vectors in Elasticsearch stand in the documents of the words: leave "
                "`text_store=embedded` out, or `vector_store=elasticsearch`"
            )
        store = "elasticsearch"
    configured = configured_urls()
    if store == "embedded" or (store is None and not url and not configured):
        if url:
            raise DatabaseError("an address of Elasticsearch is given for an embedded text store")
        why = "as asked for" if store else "no address of Elasticsearch is given or configured"
        return "tantivy", None, why
    if url and configured and checked_urls(url) != configured:
        raise DatabaseError(
            f"{url} is given, but {', '.join(configured)} is configured as the address of "
            "Elasticsearch: name one of both"
        )
    why = "as asked for"
    if not (store or url):
        why = (
            "its address is configured by CXRDEX_ELASTICSEARCH_URL or the configuration file; "
            f"{advice.WORDS_IN_FOLDER}"
        )
    return "elasticsearch", ",".join(ElasticsearchSettings.load(url).urls), why
