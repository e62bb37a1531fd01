"""What is in the archives now, compared with what the ledger knows of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.archive.sources.members import Member
from indexer.database.durable import writing
from indexer.pipeline.decoding import FileTask

if TYPE_CHECKING:
    from indexer.archive.sources.members import Archive
    from indexer.database.writer import Writer

__all__ = ["Listing", "archive_name"]

_CHUNK = 5000
_TABLES = """
PRAGMA scratch.journal_mode = OFF;
PRAGMA scratch.synchronous = OFF;
CREATE TABLE scratch.listing (
    seq INTEGER PRIMARY KEY, archive INTEGER, name TEXT, size INTEGER, mtime_ns INTEGER,
    place INTEGER, UNIQUE (archive, name)
);
CREATE TABLE scratch.todo (seq INTEGER PRIMARY KEY, checksum TEXT, touched INTEGER);
CREATE TABLE scratch.removed (archive INTEGER, name TEXT, PRIMARY KEY (archive, name));
"""


class Listing:
    """The files of some archives, in a scratch file beside the ledger, so that memory stays flat.

    A context manager; the scratch file is deleted at its end, or by the next one.

    Parameters
    ----------
    writer
        The database.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._ledger = writer.ledger
        self._archives: dict[int, str] = {}
        self._reread = False
        self.total = 0
        self.todo = 0

    def __enter__(self) -> Listing:
        path = self._writer.layout.scratch
        with writing(path):
            path.unlink(missing_ok=True)
            # Made here with the ledger's mode: names of files may hold names of patients.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._ledger.connection.execute("ATTACH ? AS scratch", (str(path),))
            self._ledger.connection.executescript(_TABLES)
        return self

    def __exit__(self, *_: object) -> None:
        self._ledger.connection.execute("DETACH scratch")
        self._writer.layout.scratch.unlink(missing_ok=True)

    def fill(
        self,
        archives: Sequence[Archive],
        stopped: Callable[[], bool],
        progress: Callable[[int], None],
    ) -> bool:
        """List all files, each once; tells whether that was done to the end.

        Parameters
        ----------
        archives
            Where to look.
        stopped
            Asked now and then whether to give up.
        progress
            Told now and then how many files were found.
        """
        for archive in archives:
            shown = archive_name(archive)
            number = self._writer.archive(shown)
            self._archives[number] = shown
            own = _inside(archive.path, self._writer.layout.root)
            chunk: list[tuple[object, ...]] = []
            for member in archive.members():
                if own and member.name.startswith(own):
                    continue
                chunk.append((number, member.name, member.size, member.mtime_ns, member.offset))
                if len(chunk) == _CHUNK:
                    self._insert(chunk)
                    chunk = []
                    progress(self.total)
                    if stopped():
                        return False
            self._insert(chunk)
            progress(self.total)
        return not stopped()

    def _insert(self, rows: Sequence[tuple[object, ...]]) -> None:
        with writing(self._writer.layout.scratch), self._ledger.transaction() as sql:
            cursor = sql.executemany(
                "INSERT OR IGNORE INTO scratch.listing (archive, name, size, mtime_ns, place) "
                "VALUES (?, ?, ?, ?, ?)",
                rows,
            )
            self.total += max(cursor.rowcount, 0)

    def compare(self, *, retry_failed: bool, checksum: bool, reread: bool) -> None:
        """Find out which files are to be read, and which are gone.

        Parameters
        ----------
        retry_failed
            Read again what failed.
        checksum
            Look at the content of all files, not only at those of another size or time.
        reread
            Read all files and images again.
        """
        self._reread = reread
        with writing(self._writer.layout.scratch), self._ledger.transaction() as sql:
            cursor = sql.execute(
                "INSERT INTO scratch.todo SELECT l.seq, "
                "CASE WHEN f.status <> 'failed' AND NOT :reread THEN f.checksum END, "
                "f.id IS NULL OR f.size <> l.size OR f.mtime_ns <> l.mtime_ns "
                "FROM scratch.listing l LEFT JOIN files f USING (archive, name) "
                "WHERE f.id IS NULL OR f.size <> l.size OR f.mtime_ns <> l.mtime_ns "
                "OR (f.status = 'failed' AND :retry) "
                "OR (f.status <> 'failed' AND :checksum) OR :reread ORDER BY l.seq",
                {"reread": reread, "retry": retry_failed, "checksum": checksum},
            )
            self.todo = cursor.rowcount
            for number in self._archives:
                gone = sql.execute(
                    "SELECT f.name FROM files f LEFT JOIN scratch.listing l USING (archive, name) "
                    "WHERE f.archive = ? AND l.seq IS NULL",
                    (number,),
                )
                sql.executemany(
                    "INSERT INTO scratch.removed VALUES (?, ?)",
                    ((number, name) for (name,) in gone if not self._hidden(number, name)),
                )

    def _hidden(self, archive: int, name: str) -> bool:
        """Whether a file is not to be seen only because what it lies in could not be listed.

        A folder, zip or tar that cannot be listed stands in the listing under its own name.
        """
        parents = [name[:i] for i, c in enumerate(name) if c == "/"]
        parents = [parent.removesuffix("!") for parent in parents]
        marks = ",".join("?" * len(parents))
        found = self._ledger.connection.execute(
            "SELECT 1 FROM scratch.listing WHERE archive = ? "
            f"AND (name IN ({marks}) OR (name = ? AND size = -1))",
            (archive, *parents, os.path.basename(self._archives[archive])),
        )
        return found.fetchone() is not None

    def tasks(self, limit: int | None = None) -> Iterator[FileTask]:
        """The files to read, in the order of the listing."""
        query = (
            "SELECT seq, archive, name, size, mtime_ns, place, checksum, touched "
            "FROM scratch.todo JOIN scratch.listing USING (seq) WHERE seq > ? ORDER BY seq LIMIT ?"
        )
        last, left = 0, self.todo if limit is None else limit
        while left > 0:
            with self._ledger.lock:
                page = self._ledger.connection.execute(query, (last, min(left, 1000))).fetchall()
            if not page:
                return
            last, left = page[-1][0], left - len(page)
            for _, archive, name, size, mtime_ns, place, checksum, touched in page:
                member = Member(self._archives[archive], name, size, mtime_ns, place)
                yield FileTask(archive, member, checksum, bool(touched), self._reread)

    @property
    def removed(self) -> int:
        """How many files the archives had once and have no more."""
        row = self._ledger.connection.execute("SELECT count(*) FROM scratch.removed").fetchone()
        return int(row[0])

    def prune(self) -> int:
        """Forget the removed files; gives how many."""
        count = 0
        for number in self._archives:
            last = ""
            while True:
                names = [
                    row[0]
                    for row in self._ledger.connection.execute(
                        "SELECT name FROM scratch.removed WHERE archive = ? AND name > ? "
                        f"ORDER BY name LIMIT {_CHUNK}",
                        (number, last),
                    )
                ]
                if not names:
                    break
                self._writer.remove_files(number, names)
                last, count = names[-1], count + len(names)
        return count


def _inside(archive: str, database: Path) -> str:
    """The database's path inside the archive with a slash at its end; empty if it is not there."""
    own = os.path.relpath(os.path.abspath(database), archive).replace(os.sep, "/")
    return "" if own.startswith("..") or os.path.isabs(own) else own + "/"


def archive_name(archive: Archive) -> str:
    """The path by which the ledger knows an archive."""
    return os.fsencode(archive.path).decode("utf-8", "backslashreplace")
