"""Folders that stand where files of a database should be, and files where folders should."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

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
    """Refuse a database in which something is a folder that should be a file, or the reverse.

    Raises
    ------
    DatabaseError
        It names the first and says what to do.
    """
    for place, is_folder in _strays(root):
        found, wanted = ("folder", "file") if is_folder else ("file", "folder")
        raise DatabaseError(
            f"{place} is a {found}, where a {wanted} should be: remove it, or restore the database "
            "from a backup; then run `cxrdex verify --repair`"
        )


def _strays(root: Path) -> Iterator[tuple[str, bool]]:
    for entry in _entries(root):
        if entry.name in _FILES and entry.is_dir():
            yield entry.path, True
        elif entry.name in _FOLDERS and entry.is_file():
            yield entry.path, False
    for name in _OF_FILES:
        for entry in _entries(root / name):
            if entry.is_dir():
                yield entry.path, True


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    # What is not there, or may not be looked into, is told by who opens it.
    with (
        suppress(FileNotFoundError, NotADirectoryError, PermissionError),
        os.scandir(folder) as found,
    ):
        return sorted(found, key=lambda entry: entry.name)
    return []
