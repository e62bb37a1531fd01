"""Writing that survives a power cut, and plain errors where it cannot be done."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from indexer.errors import CxrdexError, DatabaseError, DiskFullError

__all__ = ["sync_files", "sync_folder", "write_all_durably", "write_durably", "writing"]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# From exceptions of libraries only the system's message is passed on.
_FULL_TEXTS = tuple(os.strerror(code) for code in sorted(_FULL))


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn what goes wrong while writing to `place` into errors that name it.

    Raises
    ------
    DiskFullError
        The disk or the quota is full, or the file may not grow.
    DatabaseError
        The place cannot be written, or SQLite finds it damaged.
    """
    try:
        yield
    except CxrdexError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise _full(place) from error
        raise DatabaseError(f"{place} cannot be written: {error.strerror or error}") from error
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise _full(place) from error
        raise DatabaseError(f"{place} cannot be written: {error}") from error
    except (RuntimeError, ValueError) as error:
        if any(text in str(error) for text in _FULL_TEXTS):
            raise _full(place) from error
        raise


def _full(place: Path) -> DiskFullError:
    return DiskFullError(
        f"no space is left to write {place}: free some, then run the same command again; "
        "what was committed is safe"
    )


def write_durably(path: Path, data: bytes | memoryview) -> None:
    """Write a whole file so that, whenever power fails, it is there complete or not at all."""
    write_all_durably({path: data})


def write_all_durably(files: Mapping[Path, bytes | memoryview]) -> None:
    """Write the files of a folder, each as `write_durably` does: first all of them, one after the
    other, and then the disk is waited for."""
    drafts = {path: path.with_name(path.name + ".tmp") for path in files}
    with ExitStack() as stack:
        opened = [stack.enter_context(open(draft, "wb")) for draft in drafts.values()]
        for file, data in zip(opened, files.values(), strict=True):
            file.write(data)
            file.flush()
        for file in opened:
            os.fsync(file.fileno())
    for path, draft in drafts.items():
        draft.replace(path)
    for folder in {path.parent for path in files}:
        sync_folder(folder)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable; where folders cannot be opened the system does it."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_files(folder: Path) -> None:
    """Make the files of a folder durable, which others have written, and their names."""
    for path in folder.iterdir():
        with open(path, "rb+") as file:
            os.fsync(file.fileno())
    sync_folder(folder)
