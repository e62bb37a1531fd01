"""What stands in a database where a file or a folder of another kind should be."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from indexer import advice
from indexer.errors import DatabaseError

__all__ = ["check_kinds"]

_SQLITE = ("ledger", "thumbnails", "cohorts", "labels", "scratch")
_FILES = frozenset(
    {
        *("manifest.json", "checksums.json", "writer.lock", "writer.pid"),
        *("labels.checksum.json", "cohorts.checksum.json"),
        *(f"{name}.sqlite{end}" for name in _SQLITE for end in ("", "-wal", "-shm")),
    }
)
# Not "semantic": what is kept there is made anew where it cannot be read.
_FOLDERS = frozenset({"embeddings", "vectors", "text"})
# Those in which there are files alone; text and vectors are built anew with all that is in them.
_OF_FILES = ("embeddings", "semantic")


def check_kinds(root: Path) -> None:
    """Refuse a database in which something is no file that should be one, or no folder.

    A pipe would else be waited for, and a link to itself end in an error that names nothing to do.

    Raises
    ------
    DatabaseError
        It names the first and says what to do.
    """
    for place, found, wanted in _strays(root):
        raise DatabaseError(
            f"{place} is a {found}, where a {wanted} should be: remove it, or restore the database "
            f"from a backup; then {advice.REPAIR}"
        )


def _strays(root: Path) -> Iterator[tuple[str, str, str]]:
    """What is of another kind than it should be: its place, what it is, and what it should be."""
    for entry in _entries(root):
        wanted = "file" if entry.name in _FILES else "folder" if entry.name in _FOLDERS else ""
        if wanted and (found := _kind(entry)) != wanted:
            yield entry.path, found, wanted
    for name in _OF_FILES:
        for entry in _entries(root / name):
            if (found := _kind(entry)) != "file":
                yield entry.path, found, "file"


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        mode = entry.stat().st_mode
    except PermissionError:
        # Whoever opens it says that it may not be read.
        return "folder" if entry.is_dir(follow_symlinks=False) else "file"
    except OSError:
        # A file may go while it is looked at, as a run that ends takes its log away.
        return "link that leads nowhere" if entry.is_symlink() else "file"
    if stat.S_ISREG(mode):
        return "file"
    return "folder" if stat.S_ISDIR(mode) else "pipe or device"


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    # What is not there, or may not be looked into, is told by who opens it.
    with (
        suppress(FileNotFoundError, NotADirectoryError, PermissionError),
        os.scandir(folder) as found,
    ):
        return sorted(found, key=lambda entry: entry.name)
    return []
