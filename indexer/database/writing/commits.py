"""A commit: a shard of new vectors, then one transaction of the ledger."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from indexer.database.ledger.images import ImageRow, ShardRow, new_row
from indexer.database.outcomes import Outcome, Read, Unchanged
from indexer.database.vectors.shards import vector_keys, write_shard
from indexer.database.writing.documents import FindReport, hide, publish, rewrite, with_documents
from indexer.database.writing.labels import apply_new_labels
from indexer.database.writing.stores import Stores
from indexer.errors import DatabaseError

__all__ = ["commit"]


def commit(
    stores: Stores,
    outcomes: Sequence[Outcome],
    find_report: FindReport | None,
    sent: Callable[[], None],
) -> None:
    """Store what became of some files, in order, all or nothing; see `Writer.commit`.

    What people said meanwhile is taken over, too.

    Parameters
    ----------
    sent
        Called where what waits in the outbox must be done first.
    """
    read = [outcome for outcome in outcomes if isinstance(outcome, Read)]
    known = {*stores.ledger.images.owners([one.image.image_id for one in read], "study")}
    pictures = {
        one.image.image_id: one.image.thumbnail
        for one in read
        if one.image.thumbnail and _wants_picture(stores, one, known)
    }
    # A pending removal of the old thumbnail must be finished first, or it would delete the new one.
    if not known.isdisjoint(pictures):
        sent()
    new = [one for one in read if one.reading is not None]
    ledger = stores.ledger
    number = ledger.shards.next_number
    places = {one.image.image_id: (number, row) for row, one in enumerate(new)}
    # Documents are made while the disk takes the files, and before the transaction, which keeps
    # other threads from the ledger.
    with ThreadPoolExecutor(1, "files") as thread:
        written = thread.submit(_write_files, stores, pictures, number, new)
        made = with_documents(stores, _new_rows(stores, new, known, places, find_report))
        checksum = written.result()
    with ledger.transaction():
        if new:
            ledger.shards.register(number, len(new), checksum)
        studies: set[str] = set()
        moved: set[str] = set()
        for outcome in outcomes:
            if isinstance(outcome, Unchanged):
                ledger.files.touch(outcome.file)
            elif isinstance(outcome, Read):
                image_id = outcome.image.image_id
                place = None if outcome.reading is None else places[image_id]
                if place is not None and stores.manifest.vectors == "elasticsearch":
                    # The server keeps the vector in the document, so it is sent even if its text is
                    # unchanged.
                    moved.add(image_id)
                if image_id in made and image_id not in known:
                    studies |= _add(stores, outcome, *made[image_id])
                else:
                    studies |= _store(stores, outcome, place, find_report)
                known.add(image_id)
            else:
                ledger.files.record(outcome, stores.run)
        publish(stores, studies, moved)
    apply_new_labels(stores)


def _write_files(
    stores: Stores, pictures: Mapping[str, bytes], number: int, new: Sequence[Read]
) -> str:
    """Store pictures, and the vectors of new readings as a shard of a number; gives its checksum,
    or nothing where there are no new ones."""
    if pictures:
        stores.thumbnails.put(pictures.items())
    vectors = [one.reading.embedding for one in new if one.reading is not None]
    if not vectors:
        return ""
    keys = vector_keys([one.image.image_id for one in new])
    return write_shard(stores.layout.embeddings, number, np.stack(vectors), keys)


def _wants_picture(stores: Stores, read: Read, known: Container[str]) -> bool:
    """A picture is stored with a new image, or where it is missing and no file forbids it."""
    image_id, ledger = read.image.image_id, stores.ledger
    row = ledger.images.get(image_id) if image_id in known else None
    if row is None:
        return read.reading is not None
    if row.thumbnail or ledger.files.owner(image_id) != read.file.place:
        return False
    return not ledger.files.hides(image_id)


def _new_rows(
    stores: Stores,
    new: Sequence[Read],
    known: Container[str],
    places: Mapping[str, ShardRow],
    find_report: FindReport | None,
) -> Iterator[ImageRow]:
    """The images among them that the ledger does not know, with their reports."""
    for one in new:
        image = one.image
        if image.image_id not in known:
            report = find_report(image.report_keys) if find_report else None
            yield new_row(one, places[image.image_id], stores.run, report)


def _add(stores: Stores, read: Read, row: ImageRow, text: str) -> set[str]:
    """Store the file of a new image; gives the studies whose documents may have changed."""
    ledger = stores.ledger
    ledger.images.add(row)
    if text:
        ledger.outbox.add(row.image_id, "upsert", text)
    ledger.files.record(read, stores.run)
    return set() if text else {row.study}


def _store(
    stores: Stores, read: Read, place: ShardRow | None, find_report: FindReport | None
) -> set[str]:
    """Store a file that holds an image which the ledger knows; gives the studies whose documents
    may have changed."""
    image, ledger = read.image, stores.ledger
    row = ledger.images.get(image.image_id)
    if row is None:
        raise DatabaseError(f"the image {image.image_id} has no reading")
    changed: set[str] = set()
    duplicate = ledger.files.owner(image.image_id) != read.file.place
    if not duplicate:
        changed = _store_again(stores, read, row, place, find_report)
    elif image.metadata.burned_in and row.thumbnail:
        hide(stores, image.image_id)
    ledger.files.record(read, stores.run, duplicate=duplicate)
    return changed


def _store_again(
    stores: Stores,
    read: Read,
    row: ImageRow,
    place: ShardRow | None,
    find_report: FindReport | None,
) -> set[str]:
    """Store an image that the database has, from the file it was read from before."""
    image, images = read.image, stores.ledger.images
    if place is not None:
        images.set_reading(row.number, read, place, stores.run)
    if image.metadata.burned_in and row.thumbnail:
        hide(stores, image.image_id)
    elif image.thumbnail and not row.thumbnail:
        if _wants_picture(stores, read, (image.image_id,)):
            images.set_picture([image.image_id], there=True)
        else:
            hide(stores, image.image_id)
    return rewrite(stores, row, read.header, find_report)
