"""The lock of a database's one writer, and seeing whether somebody holds it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from indexer.database.access import unreadable
from indexer.database.durable import writing
from indexer.errors import DatabaseError, DatabaseLocked

__all__ = ["hold", "may_hold", "watch"]

_LOCK, _HOLDER = "writer.lock", "writer.pid"
# What the lock file says instead of a process id: nothing yet, or a process that holds the lock for
# a moment only.
_UNKNOWN, _BRIEF = "unknown", "that brings labels into it"
# Seconds to wait for such a short lock, for a process that was just killed, and between tries.
_PATIENCE, _ENDING, _PAUSE = 20.0, 2.0, 0.05


@contextmanager
def hold(root: Path, *, brief: bool = False) -> Iterator[None]:
    """As `indexer.database.layout.Layout.lock`."""
    from filelock import FileLock, Timeout

    with writing(root):
        root.parent.mkdir(parents=True, exist_ok=True)
        root.mkdir(mode=0o700, exist_ok=True)
    lock, holder = FileLock(root / _LOCK, timeout=0), root / _HOLDER
    began = time.monotonic()
    with writing(root):
        while not lock.is_locked:
            try:
                lock.acquire()
            except Timeout as error:
                name = _name(holder)
                if time.monotonic() < began + _patience(name):
                    time.sleep(_PAUSE)
                    continue
                raise _locked(root, name) from error
    try:
        with writing(root):
            holder.write_text(f"{_BRIEF if brief else os.getpid()}\n")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def may_hold(root: Path) -> bool:
    """Whether this user could write the database, were it not locked."""
    lock = root / _LOCK
    return os.access(root, os.W_OK) and (not lock.exists() or os.access(lock, os.W_OK))


@contextmanager
def watch(root: Path) -> Iterator[None]:
    """See that nobody writes, without a right to write oneself; nobody is kept from it.

    Raises
    ------
    DatabaseLocked
        Somebody writes, or has written meanwhile.
    DatabaseError
        This user may not see whether somebody does.
    """
    before = _state(root)
    if _is_held(root):
        raise _locked(root, _name(root / _HOLDER))
    yield
    if _is_held(root) or _state(root) != before:
        raise DatabaseLocked(
            f"the database {root} was written while it was read: try again once nobody writes it"
        )


def _state(root: Path) -> bytes:
    """Is another after every writer."""
    with suppress(OSError):
        return (root / "checksums.json").read_bytes()
    return b""


def _is_held(root: Path) -> bool:
    if os.name != "posix":
        # `_state` alone tells.
        return False
    import fcntl

    place = root / _LOCK
    try:
        descriptor = os.open(place, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise DatabaseError(
            unreadable(place) or f"{place} cannot be read: {error.strerror}"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _locked(root: Path, name: str) -> DatabaseLocked:
    return DatabaseLocked(
        f"the database {root} is being written by process {name}: "
        "wait until it has ended, or stop it"
    )


def _patience(name: str) -> float:
    """Seconds for which it is worth while to wait for who holds the lock."""
    if name in (_UNKNOWN, _BRIEF):
        return _PATIENCE
    if os.name != "posix" or not name.isdecimal():
        return 0.0
    try:
        os.kill(int(name), 0)
    except ProcessLookupError:
        # The system releases the lock of a killed process a moment after its end.
        return _ENDING
    except OSError:
        return 0.0
    return 0.0


def _name(holder: Path) -> str:
    try:
        return holder.read_text().strip() or _UNKNOWN
    except OSError:
        return _UNKNOWN
