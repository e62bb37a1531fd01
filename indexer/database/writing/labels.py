"""What people said of images, brought from their file into the ledger and the documents."""

from __future__ import annotations

from collections.abc import Sequence

from indexer.database.writing.documents import publish
from indexer.database.writing.stores import Stores

__all__ = ["apply_new_labels", "drop_labels", "drop_pruned_labels"]


def apply_new_labels(stores: Stores) -> int:
    """Enter what was said since the last time, and send the documents that it changes; gives how
    many events that were."""
    ledger = stores.ledger
    events = stores.labels.labels.since(ledger.labels.newest)
    if events:
        with ledger.transaction():
            ledger.labels.add(events)
            images = [*dict.fromkeys(event.image for event in events)]
            publish(stores, set(ledger.images.owners(images, "study").values()))
    return len(events)


def drop_labels(stores: Stores, image_ids: Sequence[str]) -> None:
    """Forget what was said of images."""
    with stores.labels.transaction():
        stores.labels.labels.drop(image_ids)
    with stores.ledger.transaction():
        stores.ledger.labels.drop(image_ids)


def drop_pruned_labels(stores: Stores) -> None:
    """Forget what was said of images that are gone from the archive and did not come back."""
    drop_labels(stores, stores.ledger.labels.pruned())
    with stores.ledger.transaction():
        stores.ledger.labels.forget_pruned()
