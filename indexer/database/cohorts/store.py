"""The cohorts of a database, in one SQLite file that is made when the first is.

Searches write it while an index run may write the ledger, so it has transactions of its own and no
place in ``checksums.json``; each cohort carries its own checksum instead, and the file has one
beside it.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from indexer.database.access import share
from indexer.database.checksums.single import Seal
from indexer.database.cohorts.cohort import Cohort, CohortSummary
from indexer.database.durable import writing
from indexer.database.sqlite import connect, copy, wipe
from indexer.errors import DatabaseError, NotFoundError

__all__ = ["Cohorts"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS cohorts (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, note TEXT NOT NULL, owner TEXT NOT NULL,
    created TEXT NOT NULL, changed TEXT NOT NULL, checksum TEXT NOT NULL, images INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS members (
    cohort TEXT NOT NULL REFERENCES cohorts (id) ON DELETE CASCADE,
    image_id TEXT NOT NULL, place INTEGER NOT NULL,
    PRIMARY KEY (cohort, image_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS members_by_image ON members (image_id);
"""
_COLUMNS = "id, name, note, owner, created, changed"
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Cohorts:
    """Cohorts by id; threads and processes may share the file.

    Parameters
    ----------
    path
        The file, ``cohorts.sqlite`` of a database; none is as good as an empty one.

    Raises
    ------
    DatabaseError
        By all methods: the file is damaged, or may not be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.seal = Seal(path)

    # ---- asking ---------------------------------------------------------------------------------

    def all(self, owner: str | None = None) -> list[CohortSummary]:
        """All cohorts without their images, or those of one owner, the last changed first."""
        query = f"SELECT {_COLUMNS}, images FROM cohorts"
        with self._reading() as connection:
            if connection is None:
                return []
            if owner is None:
                rows = connection.execute(f"{query} ORDER BY changed DESC, id").fetchall()
            else:
                rows = connection.execute(
                    f"{query} WHERE owner = ? ORDER BY changed DESC, id", (owner,)
                ).fetchall()
            return [CohortSummary(*row) for row in rows]

    def get(self, cohort_id: str) -> Cohort:
        """One cohort.

        Raises
        ------
        NotFoundError
            There is none.
        """
        with self._reading() as connection:
            found = None if connection is None else _find(connection, cohort_id)
        if found is None:
            raise NotFoundError(f"no cohort has the id {cohort_id[:40]}; it may be deleted")
        return found

    def damages(self) -> Iterator[tuple[int, str]]:
        """What is not as it was written: how many images it touches, and what it is in words."""
        with self._reading(damaged=True) as connection:
            if connection is None:
                if self._path.exists() and self.seal.place.exists():
                    yield 0, f"{self._path.name} has lost its tables, with all cohorts"
                return
            for (told,) in connection.execute("PRAGMA integrity_check(1)"):
                if told != "ok":
                    yield 0, f"SQLite finds {self._path.name} damaged: {told}"
                    return
            for *row, checksum, images in connection.execute(
                f"SELECT {_COLUMNS}, checksum, images FROM cohorts"
            ):
                cohort = _cohort(connection, row)
                if (cohort.etag, len(cohort.images)) != (checksum, images):
                    yield len(cohort.images), f"the cohort {cohort.id} is not as it was written"

    # ---- changing -------------------------------------------------------------------------------

    def add(self, name: str, owner: str, note: str = "", images: Iterable[str] = ()) -> Cohort:
        """A new cohort.

        Raises
        ------
        QueryError
            As of `Cohort`.
        """
        now = _now()
        cohort = Cohort(
            id=secrets.token_hex(10), name=name.strip(), note=note.strip(), owner=owner,
            created=now, changed=now, images=tuple(dict.fromkeys(images)),
        )  # fmt: skip
        with self._writing() as connection:
            _save(connection, cohort)
        return cohort

    def put(self, cohort: Cohort) -> None:
        """Enter a cohort of another database as it is; one of its id is replaced."""
        with self._writing() as connection:
            _save(connection, cohort)

    def change(self, cohort_id: str, edit: Callable[[Cohort], Cohort]) -> Cohort:
        """What became of a cohort by an edit that sees it as it is; nobody else comes between.

        Raises
        ------
        NotFoundError
            There is none.
        QueryError
            As of `Cohort`.
        """
        self.get(cohort_id)
        with self._writing() as connection:
            before = _find(connection, cohort_id)
            if before is None:
                raise NotFoundError(f"the cohort {cohort_id} was just deleted")
            after = edit(before)
            if after != before:
                after = replace(after, id=cohort_id, changed=_now())
                _save(connection, after)
        return after

    def delete(self, cohort_id: str, check: Callable[[Cohort], object] = lambda _: None) -> None:
        """Remove a cohort; its images stay in the database.

        Parameters
        ----------
        check
            Sees it as it is, and may refuse by an exception.

        Raises
        ------
        NotFoundError
            There is none.
        """
        check(self.get(cohort_id))
        with self._writing() as connection:
            before = _find(connection, cohort_id)
            if before is not None:
                check(before)
                connection.execute("DELETE FROM cohorts WHERE id = ?", (cohort_id,))

    def drop_images(self, images: Iterable[str]) -> int:
        """Take images out of every cohort; gives how many cohorts that changed."""
        if not self._path.exists():
            self._refuse_lost()
            return 0
        with self._writing() as connection:
            touched: set[str] = set()
            for image in images:
                found = connection.execute(
                    "SELECT cohort FROM members WHERE image_id = ?", (image,)
                )
                touched |= {cohort for (cohort,) in found}
                connection.execute("DELETE FROM members WHERE image_id = ?", (image,))
            for name in touched:
                cohort = _find(connection, name)
                assert cohort is not None
                _save(connection, replace(cohort, changed=_now()))
        return len(touched)

    def images(self) -> list[str]:
        """All images that any cohort holds, ascending."""
        with self._reading() as connection:
            if connection is None:
                return []
            rows = connection.execute("SELECT DISTINCT image_id FROM members ORDER BY 1")
            return [image for (image,) in rows]

    # ---- the file -------------------------------------------------------------------------------

    def copy_to(self, path: Path) -> None:
        """As `indexer.database.sqlite.copy`; no file where there is none."""
        with self._reading() as connection:
            if connection is not None:
                copy(connection, path)

    def wipe(self) -> bool:
        """As `indexer.database.sqlite.wipe`."""
        if not self._path.exists():
            self._refuse_lost()
            return True
        with self._writing():
            # Its checksum is open from here on.
            pass
        with writing(self._path):
            connection = connect(self._path, write=True)
            try:
                done = wipe(connection)
                self.seal.close(connection)
                return done
            finally:
                connection.close()

    def renew(self) -> None:
        """Write the file anew, of which what it says was found right, and its checksum."""
        with writing(self._path):
            connection = connect(self._path, write=True)
            try:
                wipe(connection)
                self.seal.renew(connection)
            finally:
                connection.close()

    def _refuse_lost(self) -> None:
        if self.seal.is_lost:
            raise DatabaseError(
                f"{self._path} is missing, with all cohorts: restore it from a backup, or delete "
                f"{self.seal.place.name} if they are not wanted any more"
            )

    @contextmanager
    def _reading(self, *, damaged: bool = False) -> Iterator[sqlite3.Connection | None]:
        if not self._path.exists():
            self._refuse_lost()
            yield None
            return
        connection = None
        try:
            connection = connect(self._path)
            if not damaged:
                self.seal.check(connection)
            connection.execute("BEGIN")
            made = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'members'")
            yield connection if made.fetchone() else None
        except sqlite3.DatabaseError as error:
            code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
            advice = (
                f"restore it from a backup, or delete it and {self.seal.place.name}"
                if code in _DAMAGED
                else "this user may not read it"
            )
            what = "cannot be read, as it is damaged" if code in _DAMAGED else "cannot be read"
            raise DatabaseError(f"{self._path} {what} ({error}): {advice}") from error
        finally:
            if connection is not None:
                connection.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        self._refuse_lost()
        with writing(self._path):
            made = not self._path.exists()
            connection = connect(self._path, write=True)
            try:
                connection.executescript(_SCHEMA)
                if made:
                    share(self._path)
                with connection:
                    connection.execute("BEGIN IMMEDIATE")
                    self.seal.open(connection)
                    yield connection
                self.seal.close(connection)
            finally:
                connection.close()


def _find(connection: sqlite3.Connection, cohort_id: str) -> Cohort | None:
    query = f"SELECT {_COLUMNS} FROM cohorts WHERE id = ?"
    row = connection.execute(query, (cohort_id,)).fetchone()
    return _cohort(connection, row) if row else None


def _cohort(connection: sqlite3.Connection, row: Any) -> Cohort:
    number, name, note, owner, created, changed = row
    query = "SELECT image_id FROM members WHERE cohort = ? ORDER BY place"
    return Cohort(
        id=number, name=name, note=note, owner=owner, created=created, changed=changed,
        images=tuple(image for (image,) in connection.execute(query, (number,))),
    )  # fmt: skip


def _save(connection: sqlite3.Connection, cohort: Cohort) -> None:
    connection.execute(
        "INSERT INTO cohorts VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
        "name = excluded.name, note = excluded.note, owner = excluded.owner, "
        "changed = excluded.changed, checksum = excluded.checksum, "
        "images = excluded.images",
        (cohort.id, cohort.name, cohort.note, cohort.owner, cohort.created, cohort.changed,
         cohort.etag, len(cohort.images)),
    )  # fmt: skip
    connection.execute("DELETE FROM members WHERE cohort = ?", (cohort.id,))
    rows = ((cohort.id, image, place) for place, image in enumerate(cohort.images))
    connection.executemany("INSERT INTO members VALUES (?, ?, ?)", rows)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
