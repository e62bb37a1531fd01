"""The checksum of one SQLite file that is written without the writer's lock: of cohorts, labels.

It stands beside the file, in ``NAME.checksum.json``, and is changed only by who holds SQLite's own
lock on the file: opened before a change, closed after it. While it is open, as after a kill,
nothing is known of the file's bytes. A file that has one is marked, so that its loss is noticed;
one of an earlier version has none and is none the worse.

Bytes are read through SQLite, as a file that is opened and closed otherwise loses the locks which
this process has on it.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from blake3 import blake3

from indexer import advice
from indexer.database.access import share, unreadable
from indexer.database.checksums.folder import (
    CHECKSUMS,
    Damage,
    read_checked,
    write_checked,
)
from indexer.database.sqlite import connect, is_marked, mark, settled
from indexer.errors import CxrdexError, DatabaseError

__all__ = ["Seal", "remembers_checksums", "seal_singles"]

_log = logging.getLogger(__name__)

_NAMES = ("labels.sqlite", "cohorts.sqlite")
_TRIES = 3


class Seal:
    """The checksum of a file.

    Parameters
    ----------
    path
        The SQLite file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.place = path.with_name(f"{path.stem}.checksum.json")

    def open(self, connection: sqlite3.Connection) -> None:
        """The file is about to change, in the transaction that the connection has begun.

        One that had been changed otherwise stays noted as such, until `renew`.
        """
        found = read_checked(self.place)
        if found is None or found["blake3"] is not None:
            is_same = found is None or self._is_same(connection, found["blake3"])
            self._write(None, is_damaged=not is_same)
        mark(connection)

    def close(self, connection: sqlite3.Connection) -> None:
        """The change is committed; where another is under way or read, it is left to the next."""
        with settled(connection) as is_settled:
            found = read_checked(self.place)
            if is_settled and not (found and found["damaged"]):
                self._write(self._digest(connection))

    def renew(self, connection: sqlite3.Connection) -> None:
        """The file is right as it is."""
        with settled(connection) as is_settled:
            self._write(self._digest(connection) if is_settled else None)

    def forget(self) -> None:
        """The file was lost, and a new one is made."""
        self.place.unlink(missing_ok=True)

    @property
    def is_open(self) -> bool:
        """Whether the file is there and its checksum is yet to be written."""
        found = read_checked(self.place)
        return self._path.exists() and (
            found["blake3"] is None if found else not self.place.exists()
        )

    @property
    def is_lost(self) -> bool:
        """Whether there was a file that is gone."""
        return self.place.exists() and not self._path.exists()

    def damage(self, connection: sqlite3.Connection | None = None) -> Damage | None:
        """What is not as it was written: the file, or the checksum itself.

        Parameters
        ----------
        connection
            To the file, without a transaction; None for one of its own.

        Raises
        ------
        DatabaseError
            This user may not read it.
        """
        for _ in range(_TRIES):
            found = read_checked(self.place)
            damage = self._compare(found, connection)
            # Somebody may have written it while it was read.
            if damage is None or read_checked(self.place) == found:
                return damage
        return None

    def check(self, connection: sqlite3.Connection | None = None) -> None:
        """Refuse a file that is not as it was written.

        Raises
        ------
        DatabaseError
            It names the file and says what to do.
        """
        if (damage := self.damage(connection)) and damage.name == self._path.name:
            raise DatabaseError(
                f"the database {self._path.parent} is damaged: {damage}; {advice.REPAIR}"
            )

    def _compare(
        self, found: dict[str, Any] | None, connection: sqlite3.Connection | None
    ) -> Damage | None:
        if found is None and self.place.exists():
            return Damage(self.place.name, "changed")
        if not self._path.exists():
            return Damage(self._path.name, "missing") if found else None
        changed = Damage(self._path.name, "changed")
        if found is not None and (found["damaged"] or found["blake3"] is None):
            return changed if found["damaged"] else None
        try:
            with ExitStack() as stack:
                if connection is None:
                    connection = stack.enter_context(closing(connect(self._path)))
                if found is None:
                    return Damage(self.place.name, "missing") if is_marked(connection) else None
                return None if self._is_same(connection, found["blake3"]) else changed
        except (sqlite3.DatabaseError, MemoryError) as error:
            if (why := unreadable(self._path)) is not None:
                raise DatabaseError(why) from error
            return changed

    def _is_same(self, connection: sqlite3.Connection, digest: str) -> bool:
        found = self._digest(connection)
        return found is None or found == digest

    def _digest(self, connection: sqlite3.Connection) -> str | None:
        """BLAKE3 of the file with what is in its log: all pages, free ones and what is behind them.

        None where SQLite was built without what it takes; then a file is never sealed.
        """
        if not hasattr(connection, "serialize"):
            return None
        data = connection.serialize()
        digest = blake3(data)
        log = self._path.with_name(self._path.name + "-wal")
        behind = self._path.stat().st_size - len(data)
        if behind > 0 and not (log.exists() and log.stat().st_size):
            digest.update(f"and {behind} bytes behind".encode())
        return digest.hexdigest()

    def _write(self, digest: str | None, *, is_damaged: bool = False) -> None:
        beside = (self.place.parent / CHECKSUMS).exists()
        data = {"blake3": digest, "damaged": is_damaged, "checksums": beside}
        write_checked(self.place, data)
        share(self.place)


def seal_singles(root: Path) -> None:
    """Write the checksums that are open, of files of earlier versions too.

    One that cannot be written now is left open: `verify` says what there is to say of its file.
    """
    for name in _NAMES:
        seal = Seal(root / name)
        if not seal.is_open:
            continue
        try:
            connection = connect(root / name, write=True)
            try:
                with connection:
                    connection.execute("BEGIN IMMEDIATE")
                    seal.open(connection)
                seal.close(connection)
            finally:
                connection.close()
        except (OSError, sqlite3.Error, CxrdexError) as error:
            _log.warning("the checksum of %s cannot be written: %s", name, error)


def remembers_checksums(root: Path) -> bool:
    """Whether a checksum was written when ``checksums.json`` stood beside it."""
    found = (read_checked(Seal(root / name).place) for name in _NAMES)
    return any(data is not None and data["checksums"] for data in found)
