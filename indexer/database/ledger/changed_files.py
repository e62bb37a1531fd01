"""Which files of an archive are new, changed or gone since the ledger last saw it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from indexer.database.ledger.table import LedgerTable

__all__ = ["ChangedFiles", "ListedFile"]

_TABLES = """
PRAGMA scratch.journal_mode = OFF;
PRAGMA scratch.synchronous = OFF;
CREATE TABLE scratch.listing (
    seq INTEGER PRIMARY KEY, archive INTEGER, name TEXT, size INTEGER, mtime_ns INTEGER,
    place INTEGER, UNIQUE (archive, name)
);
CREATE TABLE scratch.todo (seq INTEGER PRIMARY KEY, checksum TEXT);
CREATE TABLE scratch.removed (archive INTEGER, name TEXT, PRIMARY KEY (archive, name));
"""
_MOVED = "f.size <> l.size OR f.mtime_ns <> l.mtime_ns"


class ListedFile(NamedTuple):
    """A file that was found; `place` is where its bytes start in a tar."""

    archive: int
    name: str
    size: int
    mtime_ns: int
    place: int | None


class ChangedFiles(LedgerTable):
    """Tables in a scratch file beside the ledger, so that memory stays flat."""

    def attach(self, path: Path) -> None:
        """Make the file anew and open it."""
        path.unlink(missing_ok=True)
        # Created with the ledger's permissions: names of files may hold names of patients.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        with self._lock:
            self._connection.execute("ATTACH ? AS scratch", (str(path),))
            self._connection.executescript(_TABLES)

    def detach(self) -> None:
        """Close the file."""
        self._change("DETACH scratch")

    def add(self, files: Sequence[ListedFile]) -> int:
        """Add files and give how many of them were new."""
        return self._change_each(
            "INSERT OR IGNORE INTO scratch.listing (archive, name, size, mtime_ns, place) "
            "VALUES (?, ?, ?, ?, ?)",
            files,
        )

    def compare(self, *, retry_failed: bool, checksum: bool, reread: bool) -> int:
        """Find out which files are to be read and give their number."""
        return self._change(
            "INSERT INTO scratch.todo SELECT l.seq, "
            "CASE WHEN f.status <> 'failed' AND NOT ? THEN f.checksum END "
            "FROM scratch.listing l LEFT JOIN files f USING (archive, name) "
            f"WHERE f.id IS NULL OR {_MOVED} OR (f.status = 'failed' AND ?) "
            "OR (f.status <> 'failed' AND ?) OR ? ORDER BY l.seq",
            reread, retry_failed, checksum, reread,
        )  # fmt: skip

    def to_read(self, limit: int | None = None) -> Iterator[tuple[ListedFile, str | None]]:
        """The files to read, in the order in which they were found, each with its checksum: where
        its content still has that, it need not be decoded."""
        rows = self._paged(
            "SELECT seq, checksum, archive, name, size, mtime_ns, place FROM scratch.todo "
            "JOIN scratch.listing USING (seq) WHERE seq > ? ORDER BY seq LIMIT ?"
        )
        for number, (_, checksum, *file) in enumerate(rows):
            if number == limit:
                return
            yield ListedFile(*file), checksum

    def absent(self, archive: int) -> Iterator[str]:
        """Names of files that the ledger knows of an archive and that were not found."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT f.name FROM files f LEFT JOIN scratch.listing l USING (archive, name) "
                "WHERE f.archive = ? AND l.seq IS NULL",
                (archive,),
            )
            return (name for (name,) in rows)

    def has_any(self, archive: int, names: Sequence[str], unreadable: str) -> bool:
        """Whether one of some names was found, or one that could not be listed itself."""
        marks = ",".join("?" * len(names))
        row = self._one(
            "SELECT 1 FROM scratch.listing WHERE archive = ? "
            f"AND (name IN ({marks}) OR (name = ? AND size = -1))",
            archive, *names, unreadable,
        )  # fmt: skip
        return row is not None

    def add_removed(self, archive: int, names: Iterator[str]) -> None:
        """Note files that are gone."""
        self._change_each(
            "INSERT INTO scratch.removed VALUES (?, ?)", ((archive, n) for n in names)
        )

    def removed(self, archive: int) -> int:
        """How many files of an archive are gone."""
        return int(self._value("SELECT count(*) FROM scratch.removed WHERE archive = ?", archive))

    def removed_names(self, archive: int, after: str, limit: int) -> list[str]:
        """Names of some of them that follow `after`, ascending."""
        rows = self._all(
            "SELECT name FROM scratch.removed WHERE archive = ? AND name > ? ORDER BY name LIMIT ?",
            archive, after, limit,
        )  # fmt: skip
        return [name for (name,) in rows]

    def known(self, archive: int) -> int:
        """How many files the ledger knows of an archive."""
        return int(self._value("SELECT count(*) FROM files WHERE archive = ?", archive))

    def found(self, archive: int) -> int:
        """How many files were found in an archive."""
        query = "SELECT count(*) FROM scratch.listing WHERE archive = ?"
        return int(self._value(query, archive))
