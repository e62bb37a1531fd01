"""Forgetting patients, studies and images on request, and leaving no byte of what is gone."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from indexer.archive.deidentify import pseudonym
from indexer.database.cohorts.store import Cohorts
from indexer.database.durable import writing
from indexer.database.ledger.forgotten import ForgottenKind
from indexer.database.ledger.ledger import Ledger
from indexer.database.writing.compaction import Compactor
from indexer.database.writing.labels import drop_labels
from indexer.database.writing.outbox import Outbox
from indexer.database.writing.settling import drop_images
from indexer.database.writing.stores import Stores
from indexer.errors import DatabaseError

__all__ = ["Wanted", "find_wanted", "forget", "wipe"]

_HEX = frozenset("0123456789abcdef")
_ID_LENGTH = {"patient": 12, "study": 12, "image": 16}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be forgotten.

    Parameters
    ----------
    kind
        Of the names.
    names
        Pseudonyms.
    images
        Ids of the images that the database has of them.
    unknown
        How many of the names that were given match nothing.
    """

    kind: ForgottenKind
    names: tuple[str, ...]
    images: tuple[str, ...]
    unknown: int


def find_wanted(
    ledger: Ledger, kind: ForgottenKind, given: Iterable[str], key: bytes | None
) -> Wanted:
    """What some names mean.

    Parameters
    ----------
    kind
        ``"patient"``: Patient IDs, with the issuer before the id and a tab between where there is
        one; ``"study"``: Study Instance UIDs; ``"image"``: SOP Instance UIDs or names of files
        without their ending. Or the pseudonymous ids that cxrdex shows.
    given
        One name each; empty ones are left out.
    key
        The secret of the pseudonyms; None where all names are pseudonyms.

    Raises
    ------
    DatabaseError
        A name of an image fits several.
    """
    names: dict[str, None] = {}
    images: dict[str, None] = {}
    unknown = 0
    for line in filter(None, (line.strip() for line in given)):
        meant = [line.lower()] if _is_id(kind, line) else []
        found = {name: ledger.forgotten.affected_images(kind, name) for name in meant}
        if key is not None:
            if kind == "image":
                filed = ledger.forgotten.images_filed_under(pseudonym(key, "report", line))
                if len(filed) > 1:
                    raise DatabaseError(
                        "one of the names fits several images: give the ids that cxrdex shows, or "
                        "forget the study; nothing was removed"
                    )
                found |= {name: [name] for name in filed}
            else:
                found |= {
                    n: ledger.forgotten.affected_images(kind, n) for n in _named(key, kind, line)
                }
        # Names that no image has are remembered as well, so that they cannot be added later.
        names |= dict.fromkeys(found)
        images |= {image: None for some in found.values() for image in some}
        unknown += not any(found.values())
    return Wanted(kind, tuple(names), tuple(images), unknown)


def _is_id(kind: ForgottenKind, text: str) -> bool:
    return len(text) == _ID_LENGTH[kind] and set(text.lower()) <= _HEX


def _named(key: bytes, kind: ForgottenKind, line: str) -> list[str]:
    if kind == "study":
        return [pseudonym(key, "study", line)]
    issuer, _, number = line.rpartition("\t")
    return [pseudonym(key, "patient", f"{issuer.strip()}\0{number.strip()}")]


def forget(stores: Stores, wanted: Wanted) -> None:
    """Drop images with their files, and keep what is meant from coming back."""
    ledger = stores.ledger
    # Written first: after the deletion nothing tells which images were affected.
    Cohorts(stores.layout.cohorts).drop_images(wanted.images)
    drop_images(stores, wanted.images)
    drop_labels(stores, wanted.images)
    with ledger.transaction():
        ledger.forgotten.add(wanted.kind, wanted.names)
        if wanted.kind != "image":
            for name in wanted.names:
                ledger.forgotten.drop_duplicates(wanted.kind, name)
        ledger.shards.drop_empty()


def wipe(stores: Stores, outbox: Outbox) -> Sequence[str]:
    """Leave no byte of what is gone; see `Writer.wipe`."""
    with writing(stores.layout.root):
        Compactor(stores).everything()
        held = _wipe_files(stores)
        outbox.wipe()
        # Wiped again: only now has the ledger dropped the documents that were waiting.
        return _wipe_files(stores) or held


def _wipe_files(stores: Stores) -> Sequence[str]:
    """Overwrite what deleted rows left in the SQLite files, and drop caches that quote texts; gives
    the files that a search that is open still holds older bytes of."""
    shutil.rmtree(stores.layout.semantic, ignore_errors=True)
    cohorts = Cohorts(stores.layout.cohorts)
    last = stores.ledger.runs.last()
    # While a run is unfinished, images that it is about to read again may be missing.
    if last is not None and last.state == "complete":
        known = stores.ledger.images
        cohorts.drop_images([image for image in cohorts.images() if image not in known])
    files = {
        "ledger.sqlite": stores.ledger.wipe,
        "thumbnails.sqlite": stores.thumbnails.wipe,
        "cohorts.sqlite": cohorts.wipe,
        "labels.sqlite": stores.labels.wipe,
    }
    return [name for name, clean in files.items() if not clean()]
