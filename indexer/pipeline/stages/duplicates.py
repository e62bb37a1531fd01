"""Whether an image is new, or the database has it or will have it from an earlier file."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Literal

from indexer.database.ledger.ledger import Ledger
from indexer.database.outcomes import Outcome, Read

__all__ = ["Duplicates"]


class Duplicates:
    """Looks images up in the ledger and among the files of this run that are not committed yet.

    Parameters
    ----------
    ledger
        Of the database.
    committing
        Images in the commit that is under way.
    """

    def __init__(self, ledger: Ledger, committing: Container[str]) -> None:
        self._ledger = ledger
        self._committing = committing
        self._pending: set[str] = set()
        self._forgotten = ledger.forgotten.all()

    def is_forgotten(self, read: Read) -> bool:
        """Whether its patient, its study or itself was forgotten on request."""
        image = read.image
        names = (("patient", image.patient), ("study", image.study), ("image", image.image_id))
        return bool(self._forgotten) and not self._forgotten.isdisjoint(names)

    def look_up(self, read: Read) -> Literal["new", "own", "duplicate"]:
        """What an image is to the database, which counts with it from now on.

        ``"own"`` is an image that was read from this very file before.
        """
        image_id = read.image.image_id
        pending = image_id in self._pending or image_id in self._committing
        self._pending.add(image_id)
        if pending:
            return "duplicate"
        if image_id not in self._ledger.images:
            return "new"
        return "own" if self._ledger.files.owner(image_id) == read.file.place else "duplicate"

    def handed_over(self, outcomes: Iterable[Outcome]) -> None:
        """Files are in the commit that is under way, which knows their images from now on."""
        self._pending.difference_update(o.image.image_id for o in outcomes if isinstance(o, Read))
