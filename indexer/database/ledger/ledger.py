"""The ledger: what was seen, done, skipped and failed, in one SQLite file.

All SQL on the ledger stands in this folder, each module with the verbs of some tables. Thumbnails
and cohorts, files of their own, have theirs beside them.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from indexer.database.access import unreadable
from indexer.database.ledger.changed_files import ChangedFiles
from indexer.database.ledger.checks import Checks
from indexer.database.ledger.files import Files
from indexer.database.ledger.forgotten import Forgotten
from indexer.database.ledger.images import Images
from indexer.database.ledger.labels import LabelTable
from indexer.database.ledger.outbox import PendingChanges
from indexer.database.ledger.runs import Runs
from indexer.database.ledger.shards import CommittedShards
from indexer.database.sqlite import connect, copy, wipe
from indexer.errors import DatabaseError, DatabaseMismatch

__all__ = ["Ledger"]


class Ledger:
    """An open ledger; its tables are its attributes.

    All reading is done in one snapshot if `snapshot` was called. Threads may share a ledger: each
    call of a table's verb is one step, and a `transaction` keeps the others out.

    Parameters
    ----------
    path
        The file.
    write
        Open for writing: made where there is none, and brought to the newest schema. Else one of
        an older schema is left as it is, and what it lacks is laid over it in memory.

    Raises
    ------
    DatabaseError
        The file is missing or damaged.
    DatabaseMismatch
        Its schema is newer than this version of cxrdex.

    Attributes
    ----------
    is_outdated
        Whether it is open for reading and of an older schema.
    """

    def __init__(self, path: Path, *, write: bool = False) -> None:
        self.lock = threading.RLock()
        try:
            self.connection = connect(path, write=write)
            found = self.connection.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise
            raise DatabaseError(
                unreadable(path)
                or f"the ledger {path} is missing or damaged ({error}): restore it from a backup, "
                "or index the archive again into a new folder"
            ) from error
        scripts = _migrations()
        if found > len(scripts):
            self.close()
            raise DatabaseMismatch(
                f"the ledger {path} has schema {found}, written by a newer cxrdex; this one reads "
                f"up to {len(scripts)}: update cxrdex"
            )
        self.is_outdated = not write and found < len(scripts)
        if self.is_outdated:
            for script in _reading_scripts(found):
                self.connection.executescript(script)
        else:
            for number, script in enumerate(scripts[found:], found + 1):
                self.connection.executescript(
                    f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;"
                )
        self.files = Files(self.connection, self.lock)
        self.images = Images(self.connection, self.lock)
        self.shards = CommittedShards(self.connection, self.lock)
        self.labels = LabelTable(self.connection, self.lock)
        self.outbox = PendingChanges(self.connection, self.lock)
        self.runs = Runs(self.connection, self.lock)
        self.forgotten = Forgotten(self.connection, self.lock)
        self.changed = ChangedFiles(self.connection, self.lock)
        self.checks = Checks(self.connection, self.lock)

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self.connection.close()

    def copy_to(self, path: Path) -> None:
        """As `indexer.database.sqlite.copy`."""
        with self.lock:
            copy(self.connection, path)

    def wipe(self) -> bool:
        """As `indexer.database.sqlite.wipe`."""
        with self.lock:
            return wipe(self.connection)

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[None]:
        """All or nothing; durable when left without an exception.

        Parameters
        ----------
        durable
            False for what may be done again: the disk is not waited for, and it becomes durable
            with the next transaction that is.
        """
        with self.lock:
            if not durable:
                self.connection.execute("PRAGMA synchronous = NORMAL")
            try:
                with self.connection:
                    self.connection.execute("BEGIN IMMEDIATE")
                    yield
            finally:
                if not durable:
                    self.connection.execute("PRAGMA synchronous = FULL")

    def snapshot(self) -> None:
        """From now on see the ledger as it is at this moment; call again to see it anew."""
        with self.lock:
            if self.connection.in_transaction:
                self.connection.execute("COMMIT")
            self.connection.execute("BEGIN")
            self.connection.execute("SELECT 1 FROM meta").fetchone()

    def rest(self) -> None:
        """Let go of the snapshot, which keeps the log from being folded into the file."""
        with self.lock:
            if self.connection.in_transaction:
                self.connection.execute("COMMIT")


def _migrations() -> list[str]:
    """The migration scripts in order; script n brings a ledger to schema n."""
    scripts = _scripts("migrations")
    if list(scripts) != list(range(1, len(scripts) + 1)):
        raise DatabaseError(f"the migrations are not numbered without gaps: {list(scripts)}")
    return list(scripts.values())


def _reading_scripts(found: int) -> list[str]:
    """What a reader lays over a ledger of an older schema, as it may not change it: temporary
    tables and views of what later migrations added."""
    return [text for n, text in _scripts("migrations/reading").items() if n > found]


def _scripts(name: str) -> dict[int, str]:
    folder = resources.files("indexer.database.ledger").joinpath(*name.split("/"))
    files = sorted(item.name for item in folder.iterdir() if item.name.endswith(".sql"))
    return {int(file.split("_")[0]): (folder / file).read_text("utf-8") for file in files}
