"""What people said of images: in a small file that anyone who may write the folder adds to at any
time, and in the ledger, whose copy is what the documents were made of."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import orjson

from indexer import advice
from indexer.database.access import share, unreadable
from indexer.database.checksums.single import Seal
from indexer.database.durable import writing
from indexer.database.labels.events import Draft, Event
from indexer.database.ledger.table import LedgerTable
from indexer.database.sqlite import connect, copy, make, wipe
from indexer.database.text.documents import canonical
from indexer.errors import DatabaseError, LabelsChanged

__all__ = ["LabelFile", "LabelTable", "parse_events"]

_TABLE = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS labels (
    number INTEGER PRIMARY KEY AUTOINCREMENT, image_id TEXT NOT NULL, event TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS labels_by_image ON labels (image_id);
COMMIT;
"""


class LabelTable(LedgerTable):
    """The table `labels`, of the ledger or of the file."""

    @property
    def newest(self) -> int:
        """Number of the last event; 0 before the first."""
        return int(self._value("SELECT coalesce(max(number), 0) FROM labels"))

    @property
    def count(self) -> int:
        """How many events there are."""
        return int(self._value("SELECT count(*) FROM labels"))

    def rows(self) -> list[tuple[int, str, str]]:
        """All events as they are written."""
        return self._all("SELECT number, image_id, event FROM labels ORDER BY number")

    def since(self, number: int) -> list[Event]:
        """The events after a number, in order."""
        rows = self._all("SELECT event FROM labels WHERE number > ? ORDER BY number", number)
        return [Event.from_json(orjson.loads(text)) for (text,) in rows]

    def of(self, image_ids: Sequence[str]) -> list[Event]:
        """The events of some images, in order."""
        rows = self._select_each(image_ids, "SELECT event FROM labels WHERE image_id IN ({})")
        events = [Event.from_json(orjson.loads(text)) for (text,) in rows]
        return sorted(events, key=lambda event: event.number)

    def about(self, finding: str) -> list[Event]:
        """All events, in order, of the images with an event about a finding."""
        rows = self._all(
            "SELECT event FROM labels WHERE image_id IN (SELECT image_id FROM labels "
            "WHERE json_extract(event, '$.finding') = ?1 "
            "OR json_extract(event, '$.annotation.disease') = ?1) ORDER BY number",
            finding,
        )
        return [Event.from_json(orjson.loads(text)) for (text,) in rows]

    def last_number(self, image_id: str) -> int:
        """Number of the last event of an image; 0 where there is none."""
        query = "SELECT coalesce(max(number), 0) FROM labels WHERE image_id = ?"
        return int(self._value(query, image_id))

    def images(self) -> list[str]:
        """Ids of the images that something was said of."""
        rows = self._all("SELECT DISTINCT image_id FROM labels ORDER BY image_id")
        return [image_id for (image_id,) in rows]

    def next_number(self) -> int:
        """The number of the next event, which is never given twice."""
        given = self._value("SELECT seq FROM sqlite_sequence WHERE name = 'labels'")
        return max(int(given or 0), self.newest) + 1

    def add(self, events: Iterable[Event]) -> None:
        """Enter events that are not there yet."""
        rows = ((e.number, e.image, canonical(e.to_json())) for e in events)
        self._change_each("INSERT OR IGNORE INTO labels VALUES (?, ?, ?)", rows)

    def drop(self, image_ids: Iterable[str]) -> None:
        """Forget what was said of images."""
        self._change_each("DELETE FROM labels WHERE image_id = ?", ((i,) for i in image_ids))

    # ---- of the ledger alone --------------------------------------------------------------------

    def note_pruned(self, image_ids: Iterable[str]) -> None:
        """Note images that are gone from the archive, whose labels a compaction drops."""
        self._change_each(
            "INSERT OR IGNORE INTO pruned_labels SELECT DISTINCT image_id FROM labels "
            "WHERE image_id = ?",
            ((i,) for i in image_ids),
        )

    def pruned(self) -> list[str]:
        """Those of them that did not come back."""
        rows = self._all(
            "SELECT image_id FROM pruned_labels WHERE image_id NOT IN (SELECT image_id FROM images)"
        )
        return [image_id for (image_id,) in rows]

    def forget_pruned(self) -> None:
        """Take all images off that list."""
        self._change("DELETE FROM pruned_labels")


def parse_events(text: str | None) -> tuple[Event, ...]:
    """The events of a JSON list, as a query groups them."""
    return tuple(map(Event.from_json, orjson.loads(text))) if text else ()


class LabelFile:
    """``labels.sqlite``: everything that people said, whether the documents tell it already or not.

    It has a lock of its own, which is held for the milliseconds of one event, so that people are
    answered while a run writes the database. Threads may share it.

    Parameters
    ----------
    path
        The file.
    write
        Open for writing; made where there is none.

    Raises
    ------
    DatabaseError
        The file is damaged, or may not be written.
    """

    def __init__(self, path: Path, *, write: bool = False) -> None:
        self._lock = threading.RLock()
        self._path = path
        self._seal = Seal(path)
        made = write and not path.exists()
        try:
            if made:
                make(path, _TABLE)
            self._connection = connect(path, write=write)
            if write:
                self._connection.executescript(_TABLE)
        except (OSError, sqlite3.DatabaseError) as error:
            raise DatabaseError(
                unreadable(path)
                or f"{path}, which holds what people said of images, is damaged "
                f"or cannot be {'written' if write else 'read'} ({error}): {advice.VERIFY}"
            ) from error
        if not write:
            try:
                self._seal.check(self._connection)
            except DatabaseError:
                self.close()
                raise
        if made:
            # The checksum was that of the file that was lost.
            self._seal.forget()
            share(path)
        self._file = path.stat().st_ino
        self.labels = LabelTable(self._connection, self._lock)

    def is_current(self) -> bool:
        """Whether it is still the file of its name, which a repair or a restored copy replaces."""
        try:
            return self._path.stat().st_ino == self._file
        except OSError:
            return False

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def copy_to(self, path: Path) -> None:
        """As `indexer.database.sqlite.copy`."""
        with self._lock:
            copy(self._connection, path)

    def wipe(self) -> bool:
        """As `indexer.database.sqlite.wipe`."""
        with self._lock:
            with self.transaction():
                # Its checksum is open from here on.
                pass
            done = wipe(self._connection)
            self._seal.close(self._connection)
            return done

    def is_damaged(self) -> bool:
        """Whether SQLite finds that the file is not what it wrote."""
        try:
            with self._lock:
                found = self._connection.execute("PRAGMA integrity_check(1)").fetchone()
                self.labels.count  # noqa: B018
            return bool(found[0] != "ok")
        except (DatabaseError, sqlite3.DatabaseError):
            return True

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; durable when left without an exception."""
        with writing(self._path), self._lock, self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._seal.open(self._connection)
            yield

    def complete(self, known: LabelTable) -> None:
        """Take over the ledger's events that are missing here, as after the file was lost, or an
        older one took its place.

        Raises
        ------
        DatabaseError
            The file was changed, and says what the ledger does not.
        """
        with self._lock:
            is_changed = self._seal.damage(self._connection) is not None
        if is_changed and (self.is_damaged() or not set(self.labels.rows()) <= set(known.rows())):
            self._seal.check()
        if (newest := self.labels.newest) < known.newest:
            with self.transaction():
                self.labels.add(known.since(newest))
        if is_changed:
            with self._lock:
                self._seal.renew(self._connection)

    def record(
        self, image: str, drafts: Sequence[Draft], person: str, *, after: int | None = None
    ) -> list[Event]:
        """Add what a person says of an image, durably.

        Parameters
        ----------
        after
            Number of the last event of the image that the person had seen; None for whatever it is.

        Raises
        ------
        LabelsChanged
            Another event has come since.
        """
        with self.transaction():
            if after is not None and (last := self.labels.last_number(image)) != after:
                raise LabelsChanged(
                    f"the labels of {image} have changed since they were read (from {after} to "
                    f"{last}): read them again"
                )
            first, now = self.labels.next_number(), datetime.now(UTC).isoformat(timespec="seconds")
            events = [
                Event(
                    number=number, image=image, person=person, at=now, action=draft.action,
                    finding=draft.finding, annotation=draft.annotation, undoes=draft.undoes,
                )
                for number, draft in enumerate(drafts, first)
            ]  # fmt: skip
            self.labels.add(events)
        return events
