"""What is chosen once, when a database is made, and held to from then on."""

from __future__ import annotations

from indexer.database.layout import Layout, Manifest
from indexer.errors import DatabaseError, DatabaseMismatch

__all__ = ["check_pooling", "check_text", "choose_text"]


def choose_text(store: str | None, url: str | None) -> tuple[str, str | None, str]:
    """Kind of a new database's text store, the address of Elasticsearch, and why it is so.

    Parameters
    ----------
    store, url
        What was asked for, as of `Writer.open`.

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
            "--text-store embedded keeps words in the folder"
        )
    return "elasticsearch", ",".join(ElasticsearchSettings.load(url).urls), why


def check_text(layout: Layout, manifest: Manifest, store: str | None, url: str | None) -> None:
    """Refuse another text store than the one the database was made with."""
    from indexer.database.text.elasticsearch.settings import checked_urls

    made = "embedded" if manifest.text == "tantivy" else manifest.text
    if store not in (None, made) or (url and made == "embedded"):
        raise DatabaseMismatch(
            f"the database {layout.root} was made with the {made} text store: leave the option "
            "out, or index the archive into a new folder"
        )
    if url and manifest.text_url != ",".join(checked_urls(url)):
        raise DatabaseMismatch(
            f"the database {layout.root} was made with Elasticsearch at {manifest.text_url}: where "
            "the server has moved, set CXRDEX_ELASTICSEARCH_URL"
        )


def check_pooling(layout: Layout, manifest: Manifest, pool_studies: bool | None) -> None:
    """Refuse to pool studies where the database does not, and the other way round."""
    if pool_studies in (None, manifest.thresholds is not None):
        return
    does, option = (
        ("does not pool", "--pool-studies") if pool_studies else ("pools", "--no-pool-studies")
    )
    raise DatabaseMismatch(
        f"the database {layout.root} {does} the images of a study: leave {option} out, or index "
        "the archive into a new folder"
    )
