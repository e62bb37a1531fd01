"""What becomes of images that lost a file, and of images that are to go."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from indexer.database.durable import writing
from indexer.database.outcomes import Header
from indexer.database.writing.documents import FindReport, publish, rewrite
from indexer.database.writing.labels import apply_new_labels
from indexer.database.writing.recovery import remove_unused
from indexer.database.writing.stores import Stores

__all__ = ["drop_images", "settle"]

_PAGE = 1000


def settle(stores: Stores, find_report: FindReport | None, sent: Callable[[], None]) -> int:
    """Decide on all images that lost a file, some at a time; gives how many went."""
    dropped = 0
    with writing(stores.layout.root):
        while True:
            settled, gone = _settle_some(stores, find_report)
            if not settled:
                remove_unused(stores)
                return dropped
            dropped += gone
            sent()


def _settle_some(stores: Stores, find_report: FindReport | None) -> tuple[int, int]:
    """Decide on some of the images that lost a file, in one transaction.

    An image without files goes. One whose own file is gone is from now on read from the first of
    its duplicates.

    Returns
    -------
    settled, dropped
        How many were decided on, and how many of them went.
    """
    apply_new_labels(stores)
    ledger = stores.ledger
    released = ledger.files.released(_PAGE)
    if not released:
        return 0, 0
    gone: list[str] = []
    with ledger.transaction():
        studies: set[str] = set()
        for image_id in released:
            row, first = ledger.images.get(image_id), ledger.files.first_entry(image_id)
            if row is not None and first is None:
                gone.append(image_id)
            elif row is not None and first is not None and first[1] == "duplicate":
                number, _, identity = first
                ledger.files.promote(number)
                header = Header.from_text(identity or "")
                studies |= rewrite(stores, row, header, find_report)
            ledger.files.settled(image_id)
        ledger.labels.note_pruned(gone)
        studies |= _drop(stores, gone)
        publish(stores, studies)
    return len(released), len(gone)


def drop_images(stores: Stores, image_ids: Sequence[str], *, files: bool = True) -> None:
    """Drop images, and all their files with them, so that the next run reads these as new ones."""
    with stores.ledger.transaction():
        if files:
            stores.ledger.files.drop_entries(image_ids)
        publish(stores, _drop(stores, image_ids))


def _drop(stores: Stores, image_ids: Sequence[str]) -> set[str]:
    ledger = stores.ledger
    studies = set(ledger.images.owners(image_ids, "study").values())
    ledger.images.drop(image_ids)
    for image_id in image_ids:
        ledger.outbox.add(image_id, "delete")
    ledger.shards.drop_empty()
    return studies
