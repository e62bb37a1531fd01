"""Opening SQLite files the way a database needs them: durable, private, never blocking readers."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["address", "connect", "copy", "is_marked", "mark", "settled", "wipe"]

# KiB of pages that SQLite caches. A reader needs the inner pages of the indexes for every look-up.
# A writer changes some 15 MB in a commit of a thousand images, and so writes each page once.
_CACHE = 32_768
# Pages in the write-ahead log before it is checkpointed, so that several commits share one
# checkpoint.
_LOG_PAGES = 8_192
# Milliseconds for which a wipe waits for readers to end.
_WIPE_PATIENCE = 2000


def address(path: Path, *, write: bool = False) -> str:
    """The URI by which SQLite opens a file that exists."""
    if write:
        mode = "rw"
    else:
        # In a folder that cannot be written nobody writes, so SQLite need not watch for changes.
        alone = (
            not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists()
        )
        mode = "ro&immutable=1" if alone else "ro"
    return f"{path.absolute().as_uri()}?mode={mode}"


def connect(path: Path, *, write: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode; transactions begin with an explicit BEGIN.

    Parameters
    ----------
    path
        The file; made with mode 0600 when opened for writing.
    write
        Open for writing, with a write-ahead log and a full sync at each commit.

    Raises
    ------
    sqlite3.DatabaseError
        The file cannot be opened or is no SQLite file.
    """
    # SQLite gives the log the mode of the file it belongs to. Closing a file gives up the locks
    # that other connections of this process have on it, so it is opened only to be made.
    if write and not path.exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(
        address(path, write=write),
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=60,
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{_CACHE}")
        if write:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
            # Overwrite deleted content, whatever SQLite's build would do.
            connection.execute("PRAGMA secure_delete = ON")
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def wipe(connection: sqlite3.Connection) -> bool:
    """Write a file anew without what was deleted from it, and empty its write-ahead log.

    Returns
    -------
    done
        False where a reader that is open still needs the log; the next wipe empties it.
    """
    patience = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    try:
        connection.execute("VACUUM")
        connection.execute(f"PRAGMA busy_timeout = {_WIPE_PATIENCE}")
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {patience}")
    return not busy


def mark(connection: sqlite3.Connection) -> None:
    """Say in a file, for `is_marked`, that it has a checksum beside it."""
    if not is_marked(connection):
        connection.execute("PRAGMA user_version = 1")


def is_marked(connection: sqlite3.Connection) -> bool:
    """Whether `mark` was called of a file."""
    return bool(connection.execute("PRAGMA user_version").fetchone()[0])


@contextmanager
def settled(connection: sqlite3.Connection) -> Iterator[bool]:
    """Keep a file from being changed for a moment; gives whether that could be had at once."""
    patience = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        yield False
        return
    finally:
        connection.execute(f"PRAGMA busy_timeout = {patience}")
    try:
        yield True
    finally:
        connection.execute("ROLLBACK")


def copy(connection: sqlite3.Connection, path: Path) -> None:
    """Copy what a connection sees, at one moment, to a new file."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    target = sqlite3.connect(path)
    try:
        connection.backup(target)
    finally:
        target.close()
