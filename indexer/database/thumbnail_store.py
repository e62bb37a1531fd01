"""Small pictures for results: WebP by image id, in one SQLite file."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from indexer import advice
from indexer.database.access import unreadable
from indexer.database.sqlite import connect, copy, make, wipe
from indexer.errors import DatabaseError

__all__ = ["Thumbnails"]

_PAGE = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS thumbnails (
    image_id TEXT NOT NULL UNIQUE,
    picture BLOB NOT NULL
);
"""


class Thumbnails:
    """The thumbnails of a database; threads may share the writer's.

    Parameters
    ----------
    path
        The file; a writer makes it.
    write
        Open for writing.
    """

    def __init__(self, path: Path, *, write: bool = False) -> None:
        self._path = path
        self._lock = threading.Lock()
        with self._readable():
            if write and not path.exists():
                make(path, _SCHEMA)
            self._connection: sqlite3.Connection = connect(path, write=write)
        if write:
            self._connection.executescript(_SCHEMA)

    def put(self, pictures: Iterable[tuple[str, bytes]]) -> None:
        """Store pictures by image id, durably.

        They are appended one after the other; in order of the ids, so that each page of their index
        is gone to once.
        """
        with self._lock, self._connection:
            self._connection.execute("BEGIN")
            self._connection.executemany(
                "INSERT OR REPLACE INTO thumbnails VALUES (?, ?)", sorted(pictures)
            )

    def drop(self, image_ids: Iterable[str]) -> None:
        """Delete pictures; unknown ids are no error."""
        with self._lock, self._connection:
            self._connection.execute("BEGIN")
            self._connection.executemany(
                "DELETE FROM thumbnails WHERE image_id = ?", ((i,) for i in image_ids)
            )

    def get(self, image_id: str) -> bytes | None:
        """The WebP file of an image, or None."""
        with self._readable():
            row = self._connection.execute(
                "SELECT picture FROM thumbnails WHERE image_id = ?", (image_id,)
            ).fetchone()
        return row[0] if row else None

    def pages(self) -> Iterator[list[tuple[str, bytes]]]:
        """All pictures by image id, some hundred at a time, in the order in which they lie."""
        query = "SELECT rowid, image_id, picture FROM thumbnails WHERE rowid > ? ORDER BY 1 LIMIT ?"
        last = 0
        while True:
            with self._readable():
                rows = self._connection.execute(query, (last, _PAGE)).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            yield [(image_id, picture) for _, image_id, picture in rows]

    def ids(self) -> Iterator[str]:
        """The image ids that have a picture, ascending."""
        query = "SELECT image_id FROM thumbnails ORDER BY image_id"
        with self._readable():
            for row in self._connection.execute(query):
                yield row[0]

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Say of a file that is not what was written what to do."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
            if code == sqlite3.SQLITE_CANTOPEN:
                raise DatabaseError(
                    unreadable(self._path)
                    or f"{self._path} is missing or cannot be opened: {advice.REPAIR}"
                ) from error
            # An empty file has no table, which SQLite calls a plain error.
            if code not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
                raise
            raise DatabaseError(f"{self._path} is damaged ({error}): {advice.REPAIR}") from error

    def copy_to(self, path: Path) -> None:
        """As `indexer.database.sqlite.copy`."""
        copy(self._connection, path)

    def wipe(self) -> bool:
        """As `indexer.database.sqlite.wipe`."""
        return wipe(self._connection)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
