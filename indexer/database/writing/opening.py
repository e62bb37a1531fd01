"""Opening the stores of a database that is locked, and making them where they are missing."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.database.access import (
    TO_WRITE,
    check_descriptors,
    give_to_group,
    keep_wal_files,
    set_modes,
)
from indexer.database.checksums.folder import check, check_truth, kept_manifest, open_seal, seal
from indexer.database.checksums.single import seal_singles
from indexer.database.choices import Choices
from indexer.database.durable import writing
from indexer.database.layout import Layout, Manifest
from indexer.database.ledger.labels import LabelFile
from indexer.database.ledger.ledger import Ledger
from indexer.database.text.elasticsearch.vectors import DocumentVectors
from indexer.database.text.store import is_outdated, open_text_store
from indexer.database.thumbnail_store import Thumbnails
from indexer.database.writing.labels import apply_new_labels
from indexer.database.writing.stores import Stores
from indexer.errors import DatabaseError

if TYPE_CHECKING:
    from indexer.cascade.bundle import Bundle

__all__ = ["all_or_nothing", "opened_stores", "ready_manifest", "refuse_foreign"]

_log = logging.getLogger(__name__)

_LOCKS = frozenset({"writer.lock", "writer.pid"})
_OWN_NAMES = _LOCKS | {"embeddings", "vectors", "manifest.json.tmp"}


def ready_manifest(
    layout: Layout, bundle: Bundle, key: str, choices: Choices, *, other_bundle: bool
) -> Manifest:
    """The manifest of a locked database, made where there is none, held to what is asked for.

    What may change in it from run to run is written: the makers' polarity, the bundle's place.
    """
    if not layout.is_made:
        with writing(layout.root):
            layout.create(choices.manifest(bundle, key))
    check_truth(layout.root)
    if choices.group is not None:
        give_to_group(layout.root, choices.group)
    made = layout.read_manifest()
    layout.check(made, None if other_bundle else bundle, key)
    choices.check_stores(layout, made)
    now = choices.with_polarity(made)
    if not other_bundle:
        choices.check_pooling(layout, made)
        now = replace(now, bundle_path=bundle.place)
    if now != made:
        open_seal(layout.root)
        layout.create(now)
    return now


@contextmanager
def opened_stores(
    layout: Layout, manifest: Manifest, *, rebuild_text: bool = False
) -> Iterator[Stores]:
    """The stores of a locked database, open for writing."""
    check_descriptors(TO_WRITE)
    with ExitStack() as stack:
        # Released last, when everything else is closed.
        stack.callback(set_modes, layout.root)
        stack.callback(seal, layout.root)
        stack.callback(keep_wal_files, layout.root)
        stack.callback(seal_singles, layout.root)
        damaged = check(layout.root, "text/", quick=True)
        open_seal(layout.root)
        with writing(layout.root):
            layout.embeddings.mkdir(exist_ok=True)
            ledger = Ledger(layout.ledger, write=True)
            stack.callback(ledger.close)
            thumbnails = Thumbnails(layout.thumbnails, write=True)
            stack.callback(thumbnails.close)
            labels = LabelFile(layout.labels, write=True)
            stack.callback(labels.close)
            labels.complete(ledger.labels)
            embedded = manifest.text == "tantivy"
            missing = embedded and ledger.images.count and not layout.text.exists()
            outdated = is_outdated(manifest.text, layout.text)
            if outdated:
                _log.info("building the text index anew, as this version keeps more in it")
            if damaged:
                _log.warning("building the text index anew, as %s", damaged[0])
            if rebuild_text or missing or outdated or damaged:
                with ledger.transaction():
                    ledger.outbox.mark_refill()
                shutil.rmtree(layout.text, ignore_errors=True)
            text = open_text_store(
                manifest.text,
                layout.text,
                create=True,
                index=manifest.text_index,
                url=manifest.text_url,
                embeddings=_embeddings(layout, manifest, ledger),
            )
            stack.callback(text.close)
        stores = Stores(layout, manifest, ledger, thumbnails, text, labels)
        with writing(layout.root):
            apply_new_labels(stores)
        yield stores


def _embeddings(layout: Layout, manifest: Manifest, ledger: Ledger) -> DocumentVectors | None:
    """The vectors that documents get, where they get any."""
    if manifest.vectors != "elasticsearch":
        return None
    return DocumentVectors(
        manifest.dimensions, partial(ledger.shards.read_vectors, layout.embeddings)
    )


@contextmanager
def all_or_nothing(layout: Layout) -> Iterator[Callable[[], None]]:
    """Leave nothing of a new database that is refused before the function that is given is called.

    Its manifest would hold its next run to what was not kept, such as a new id key.
    """
    unsure = not layout.is_made

    def is_made() -> None:
        nonlocal unsure
        unsure = False

    try:
        yield is_made
    except BaseException:
        if unsure:
            for item in layout.root.iterdir():
                if item.is_dir():
                    shutil.rmtree(item, ignore_errors=True)
                elif item.name not in _LOCKS:
                    item.unlink(missing_ok=True)
        raise


def refuse_foreign(path: Path) -> None:
    """A folder that holds something else is most likely named by mistake."""
    try:
        names = {item.name for item in path.iterdir()}
    except FileNotFoundError:
        return
    except OSError as error:
        raise DatabaseError(f"{path} cannot hold a database: {error.strerror}") from error
    # Of a database that has lost its manifest, reading it says what to do.
    if kept_manifest(path) is not None:
        Layout(path).read_manifest()
    if names - _OWN_NAMES:
        raise DatabaseError(
            f"{path} is no database, but is not empty: name a new or an empty folder"
        )
