"""What a writer that was killed left, and what an earlier version wrote: put right on opening."""

from __future__ import annotations

import logging

from indexer.database.durable import writing
from indexer.database.vectors.generation import remove_older
from indexer.database.vectors.shards import remove_orphans
from indexer.database.writing.outbox import Outbox
from indexer.database.writing.reports import send_wrong_documents
from indexer.database.writing.stores import Stores

__all__ = ["recover", "remove_unused", "rewrite_documents", "sweep_thumbnails"]

_log = logging.getLogger(__name__)


def recover(stores: Stores, outbox: Outbox, *, drain: bool = True) -> None:
    """Finish what a killed run left.

    Parameters
    ----------
    drain
        Whether the text store is brought up as well.
    """
    with writing(stores.layout.root):
        with stores.ledger.transaction():
            killed = stores.ledger.runs.stop_killed()
        remove_unused(stores)
        # The scratch file of a killed run is removed, as it names all files of the archive.
        stores.layout.scratch.unlink(missing_ok=True)
        if killed:
            _log.info("the last run was stopped before its end; going on from its last commit")
            sweep_thumbnails(stores)
        if drain:
            outbox.drain()


def rewrite_documents(stores: Stores, outbox: Outbox) -> None:
    """Send the documents of an earlier version again, once; killed, the next run goes on."""
    if not stores.ledger.outbox.must_rewrite:
        return
    if stores.ledger.images.count:
        _log.info("writing all documents anew, as this version says more in them")
    with writing(stores.layout.root):
        send_wrong_documents(stores, outbox.drain)
        with stores.ledger.transaction():
            stores.ledger.outbox.rewritten()


def sweep_thumbnails(stores: Stores) -> int:
    """Drop the pictures that no image owns; gives how many that were."""
    has_picture = stores.ledger.images.has_picture
    unowned = [name for name in stores.thumbnails.ids() if not has_picture(name)]
    stores.thumbnails.drop(unowned)
    return len(unowned)


def remove_unused(stores: Stores) -> None:
    """Remove the files of shards that the ledger does not know, and of older vector indexes."""
    known = {shard.number for shard in stores.ledger.shards.all()}
    count = remove_orphans(stores.layout.embeddings, known)
    if count:
        _log.info("removed %d files of shards that are not in use", count)
    remove_older(stores.layout.vectors)
