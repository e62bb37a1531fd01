"""Making room for the readings of another bundle, which cannot stand beside the old ones."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from indexer.database.choices import Choices
from indexer.database.durable import writing
from indexer.database.layout import Manifest
from indexer.database.text.elasticsearch.store import ElasticsearchTextStore
from indexer.database.writing.outbox import Outbox
from indexer.database.writing.recovery import remove_unused, sweep_thumbnails
from indexer.database.writing.stores import Stores
from indexer.errors import DatabaseMismatch

if TYPE_CHECKING:
    from indexer.cascade.bundle import Bundle

__all__ = ["change_bundle"]


def change_bundle(
    stores: Stores,
    outbox: Outbox,
    bundle: Bundle,
    archives: Sequence[str],
    pool_studies: bool | None,
) -> None:
    """Drop all images, and take another bundle; see `Writer.change_bundle`."""
    if bundle.hash == stores.manifest.bundle:
        Choices(pool_studies=pool_studies).check_pooling(stores.layout, stores.manifest)
        return
    _check_archives(stores, archives)
    with writing(stores.layout.root):
        _forget_readings(stores)
        outbox.refill()
        sweep_thumbnails(stores)
        remove_unused(stores)
        _take_bundle(stores, bundle, pool_studies)


def _check_archives(stores: Stores, archives: Sequence[str]) -> None:
    """Refuse to read a database anew of which an archive is not among those to be read."""
    known = stores.ledger.files.archives_with_images()
    missing = [path for path in known if path not in set(archives)]
    if missing:
        raise DatabaseMismatch(
            f"the database {stores.layout.root} also holds images of {', '.join(missing)}: "
            "to read it again with another bundle, name all its archives"
        )


def _forget_readings(stores: Stores) -> None:
    """Drop all images; their files become unread, so that the run that follows reads them."""
    ledger = stores.ledger
    with ledger.transaction():
        ledger.images.drop_all()
        ledger.files.drop_all_with_images()
        # If this is killed, `Writer.open` finds this mark and empties the text store.
        ledger.outbox.mark_refill()


def _take_bundle(stores: Stores, bundle: Bundle, pool_studies: bool | None) -> None:
    """Write the manifest of an emptied database with its new bundle."""
    shutil.rmtree(stores.layout.vectors, ignore_errors=True)
    before = stores.manifest
    pool = before.thresholds is not None if pool_studies is None else pool_studies
    stores.manifest = replace(
        Manifest.of(bundle, before.key, pool_studies=pool),
        created_with=before.created_with,
        text=before.text,
        text_index=before.text_index,
        text_url=before.text_url,
        polarity=before.polarity,
        vectors=before.vectors,
    )
    if isinstance(stores.text, ElasticsearchTextStore) and stores.text.embeddings is not None:
        stores.text.resize(bundle.dimensions)
        with stores.ledger.transaction():
            # Before the manifest: a run that is killed in between leaves it to the next one.
            stores.ledger.outbox.mark_refill()
    stores.layout.create(stores.manifest)
