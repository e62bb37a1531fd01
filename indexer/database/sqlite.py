"""Opening SQLite files the way a database needs them: durable, private, never blocking readers."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from indexer.database.durable import sync_folder

__all__ = [
    "address",
    "connect",
    "copy",
    "file_bytes",
    "is_marked",
    "make",
    "mark",
    "settled",
    "wipe",
]

# KiB of pages that SQLite caches. A reader needs the inner pages of the indexes for every look-up.
# A writer changes some 15 MB in a commit of a thousand images, and so writes each page once.
_CACHE = 32_768
# Pages in the write-ahead log before it is checkpointed, so that several commits share one
# checkpoint.
_LOG_PAGES = 8_192
# Milliseconds for which a wipe waits for readers to end.
_WIPE_PATIENCE = 2000
# Bytes of a file that are read at once.
_PIECE = 1 << 20


class _OpenFiles:
    """The files that this process has open, by device and inode, and who uses them.

    POSIX gives up every lock that a process has on a file as soon as it closes any descriptor of
    it. SQLite knows this of its own descriptors; one that reads the bytes of a file is kept until
    the last connection to it is closed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: Counter[tuple[int, int]] = Counter()
        self._descriptors: dict[tuple[int, int], int] = {}

    def enter(self, path: Path) -> tuple[int, int]:
        """Note one user more of a file; gives the key by which to leave it."""
        status = path.stat()
        key = status.st_dev, status.st_ino
        with self._lock:
            self._users[key] += 1
        return key

    def leave(self, key: tuple[int, int]) -> None:
        with self._lock:
            self._users[key] -= 1
            if not self._users[key]:
                del self._users[key]
                if key in self._descriptors:
                    os.close(self._descriptors.pop(key))

    def descriptor(self, key: tuple[int, int], path: Path) -> int:
        """A descriptor for reading, which stands until the last user has left."""
        with self._lock:
            if key not in self._descriptors:
                self._descriptors[key] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            return self._descriptors[key]


_files = _OpenFiles()


class _Connection(sqlite3.Connection):
    """A connection that is known to use its file until it is closed."""

    key: tuple[int, int] | None = None

    def close(self) -> None:
        super().close()
        key, self.key = self.key, None
        if key is not None:
            _files.leave(key)


def file_bytes(path: Path) -> Iterator[bytes]:
    """The bytes of a SQLite file as they lie on the disk, in pieces.

    Connections of this process keep their locks on it.
    """
    key = _files.enter(path)
    try:
        descriptor, place = _files.descriptor(key, path), 0
        while piece := os.pread(descriptor, _PIECE, place):
            place += len(piece)
            yield piece
    finally:
        _files.leave(key)


def address(path: Path, *, write: bool = False) -> str:
    """The URI by which SQLite opens a file that exists."""
    if write:
        mode = "rw"
    else:
        # In a folder that cannot be written, and where a writer has left no logs, nobody writes, so
        # SQLite need not watch for changes.
        log, shared = (path.with_name(path.name + end) for end in ("-wal", "-shm"))
        is_logged = log.exists() and (log.stat().st_size > 0 or shared.exists())
        alone = not is_logged and not os.access(path.parent, os.W_OK)
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
        factory=_Connection,
    )
    try:
        connection.key = _files.enter(path)
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


def make(path: Path, tables: str) -> None:
    """Make a file with its tables, where there is none.

    It has its name only when it is whole: of a process that is killed in between, nothing is seen.

    Raises
    ------
    OSError, sqlite3.DatabaseError
        It cannot be written.
    """
    for left in path.parent.glob(f"{path.name}.*.tmp*"):
        if not _is_running(int(left.name.removeprefix(f"{path.name}.").partition("-")[0])):
            left.unlink(missing_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with closing(connect(draft, write=True)) as connection:
            connection.executescript(tables)
        try:
            # A rename would replace a file that another process has made meanwhile; a link fails.
            os.link(draft, path)
        except FileExistsError:
            return
        except OSError:
            # Not all file systems give a file two names.
            draft.replace(path)
        sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # There is such a process, of another user.
        return True
    return True


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
