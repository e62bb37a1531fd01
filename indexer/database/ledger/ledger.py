"""The ledger: what was seen, done, skipped and failed, in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from indexer.database.sqlite import connect
from indexer.database.vectors.shards import Shard
from indexer.errors import DatabaseError, DatabaseMismatch

__all__ = ["STATUSES", "FileRecord", "ImageRow", "Ledger", "Run", "Status"]

Status: TypeAlias = Literal["done", "duplicate", "skipped", "failed"]
STATUSES: tuple[Status, ...] = ("done", "duplicate", "skipped", "failed")

_FILE_COLUMNS = "status, archives.path, name, reason, detail, attempts, image_id, files.id"
_IMAGE_COLUMNS = (
    "images.id, image_id, study, patient, metadata, reading, report, report_keys, "
    "document_hash, thumbnail, shard, row, run, pooled"
)
_PAGE = 1000
# SQLite takes some thousands of values in one statement.
_PARAMETERS = 500


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What became of one file.

    Parameters
    ----------
    status
        Its one end.
    archive, name
        Where it is; may hold patient data, so it is shown to the person at the terminal only.
    reason, detail
        Why it was skipped or failed: a stable code, and words.
    attempts
        How often it was read.
    image_id
        The image it holds.
    """

    status: Status
    archive: str
    name: str
    reason: str | None
    detail: str | None
    attempts: int
    image_id: str | None


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image as the ledger keeps it; the JSON values are parsed."""

    number: int
    image_id: str
    study: str
    patient: str
    metadata: dict[str, Any]
    reading: dict[str, Any]
    report: dict[str, Any] | None
    report_keys: list[str]
    document_hash: str
    thumbnail: bool
    shard: int
    row: int
    run: int
    #: What the images of its study say together, where there are several and they are pooled.
    pooled: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the indexer; times are ISO 8601 in UTC."""

    id: int
    started: str
    finished: str | None
    state: Literal["running", "complete", "interrupted", "stopped"]
    version: str
    bundle: str
    counts: dict[str, int]


class Ledger:
    """An open ledger.

    All reading is done in one snapshot if `snapshot` was called. Threads may share a ledger that
    is open for writing as long as each holds `lock` while it uses the connection.

    Parameters
    ----------
    path
        The file.
    write
        Open for writing: made where there is none, and brought to the newest schema.

    Raises
    ------
    DatabaseError
        The file is missing or damaged.
    DatabaseMismatch
        Its schema is newer than this version of cxrdex, or older and not open for writing.
    """

    def __init__(self, path: Path, *, write: bool = False) -> None:
        self.lock = threading.RLock()
        try:
            self.connection = connect(path, write=write)
            found = self.connection.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise
            raise DatabaseError(
                f"the ledger {path} is missing or damaged ({error}): restore it from a backup, "
                "or index the archive again into a new folder"
            ) from error
        scripts = _migrations()
        if found > len(scripts):
            self.close()
            raise DatabaseMismatch(
                f"the ledger {path} has schema {found}, written by a newer cxrdex; this one reads "
                f"up to {len(scripts)}: update cxrdex"
            )
        if found < len(scripts) and not write:
            self.close()
            raise DatabaseMismatch(
                f"the ledger {path} has the older schema {found}: run `cxrdex index` once on this "
                f"database to bring it to {len(scripts)}"
            )
        for number, script in enumerate(scripts[found:], found + 1):
            self.connection.executescript(
                f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;"
            )

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; durable when left without an exception."""
        with self.lock, self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            yield self.connection

    def snapshot(self) -> None:
        """From now on see the ledger as it is at this moment; call again to see it anew."""
        if self.connection.in_transaction:
            self.connection.execute("COMMIT")
        self.connection.execute("BEGIN")
        self.connection.execute("SELECT 1 FROM meta").fetchone()

    # ---- asking ---------------------------------------------------------------------------------

    def _value(self, query: str, *values: object) -> Any:
        with self.lock:
            row = self.connection.execute(query, values).fetchone()
        return row[0] if row else None

    @property
    def images(self) -> int:
        """How many images there are."""
        return int(self._value("SELECT coalesce(sum(live), 0) FROM shards"))

    @property
    def studies(self) -> int:
        """How many studies they are of."""
        return int(self._value("SELECT count(DISTINCT study) FROM images"))

    @property
    def patients(self) -> int:
        """How many patients they are of."""
        return int(self._value("SELECT count(DISTINCT patient) FROM images"))

    @property
    def waiting(self) -> int:
        """Documents that the text store has not confirmed yet."""
        return int(self._value("SELECT count(*) FROM outbox")) + (self.images if self.refill else 0)

    @property
    def refill(self) -> bool:
        """Whether the text store is to be filled anew with all documents."""
        return self._value("SELECT 1 FROM meta WHERE key = 'refill'") is not None

    def mark_refill(self) -> None:
        """Have the text store filled anew when the outbox is drained next."""
        with self.transaction() as sql:
            sql.execute("INSERT OR REPLACE INTO meta VALUES ('refill', 1)")

    def counts(self) -> dict[Status, int]:
        """Files by status; all four are there."""
        counts: dict[Status, int] = dict.fromkeys(STATUSES, 0)
        counts.update(
            self.connection.execute("SELECT status, count(*) FROM files GROUP BY status").fetchall()
        )
        return counts

    def reasons(self) -> dict[Status, dict[str, int]]:
        """Skipped and failed files by reason, the commonest first."""
        reasons: dict[Status, dict[str, int]] = {"skipped": {}, "failed": {}}
        query = (
            "SELECT status, reason, count(*) FROM files WHERE status IN ('skipped', 'failed') "
            "GROUP BY 1, 2 ORDER BY 3 DESC, 2"
        )
        for status, reason, count in self.connection.execute(query):
            reasons[status][reason] = count
        return reasons

    def archives(self) -> dict[str, int]:
        """Files by archive."""
        query = "SELECT path, count(*) FROM files JOIN archives ON archive = archives.id GROUP BY 1"
        return dict(self.connection.execute(query).fetchall())

    def last_run(self) -> Run | None:
        """The newest run."""
        row = self.connection.execute("SELECT * FROM runs ORDER BY id DESC LIMIT 1").fetchone()
        return self._run(row) if row else None

    def run(self, number: int) -> Run:
        """One run by its number."""
        return self._run(
            self.connection.execute("SELECT * FROM runs WHERE id = ?", (number,)).fetchone()
        )

    @staticmethod
    def _run(row: Sequence[Any]) -> Run:
        number, started, finished, state, made_by, bundle, counts = row
        return Run(number, started, finished, state, made_by, bundle, json.loads(counts))

    def files(
        self, *, statuses: Iterable[Status] = STATUSES, reason: str | None = None
    ) -> Iterator[FileRecord]:
        """Files in the order in which they were first read, by status and reason."""
        wanted = list(statuses)
        marks = ",".join("?" * len(wanted))
        query = (
            f"SELECT {_FILE_COLUMNS} FROM files JOIN archives ON archive = archives.id "
            f"WHERE files.id > ? AND status IN ({marks}) AND (? IS NULL OR reason = ?) "
            f"ORDER BY files.id LIMIT {_PAGE}"
        )
        last = 0
        while True:
            with self.lock:
                page = self.connection.execute(query, (last, *wanted, reason, reason)).fetchall()
            if not page:
                return
            last = page[-1][-1]
            yield from (FileRecord(*row[:-1]) for row in page)

    def files_of(self, image_id: str) -> list[FileRecord]:
        """The files that hold an image, the one it is read from first."""
        query = (
            f"SELECT {_FILE_COLUMNS} FROM files JOIN archives ON archive = archives.id "
            "WHERE image_id = ? ORDER BY status = 'duplicate', files.id"
        )
        return [FileRecord(*row[:-1]) for row in self.connection.execute(query, (image_id,))]

    def image(self, image_id: str) -> ImageRow | None:
        """One image by id."""
        with self.lock:
            row = self.connection.execute(
                f"SELECT {_IMAGE_COLUMNS} FROM images WHERE image_id = ?", (image_id,)
            ).fetchone()
        return _image_row(row) if row else None

    def images_of(self, study: str) -> list[ImageRow]:
        """The images of a study in the order in which they were read."""
        query = f"SELECT {_IMAGE_COLUMNS} FROM images WHERE study = ? ORDER BY id"
        with self.lock:
            return [_image_row(row) for row in self.connection.execute(query, (study,))]

    def studies_of_several(self) -> list[str]:
        """Studies of several images, and those of one that is kept as if it had mates."""
        query = (
            "SELECT study FROM images GROUP BY study "
            "HAVING count(*) > 1 OR count(pooled) > 0 ORDER BY study"
        )
        with self.lock:
            return [row[0] for row in self.connection.execute(query)]

    def has_image(self, image_id: str) -> bool:
        """Whether there is such an image."""
        return self._value("SELECT 1 FROM images WHERE image_id = ?", image_id) is not None

    def owner(self, image_id: str) -> tuple[int, str] | None:
        """Archive number and name of the file an image is read from."""
        with self.lock:
            row = self.connection.execute(
                "SELECT archive, name FROM files WHERE image_id = ? AND status = 'done'",
                (image_id,),
            ).fetchone()
        return (row[0], row[1]) if row else None

    def iterate_images(self) -> Iterator[ImageRow]:
        """All images in the order in which they were read."""
        query = f"SELECT {_IMAGE_COLUMNS} FROM images WHERE id > ? ORDER BY id LIMIT {_PAGE}"
        last = 0
        while True:
            with self.lock:
                page = self.connection.execute(query, (last,)).fetchall()
            if not page:
                return
            last = page[-1][0]
            yield from map(_image_row, page)

    def image_ids(self, *, study: str | None = None, patient: str | None = None) -> Iterator[str]:
        """Ids of all images, or of those of one study or patient, in no fixed order."""
        query = "SELECT image_id FROM images"
        column, value = ("study", study) if study is not None else ("patient", patient)
        if value is None:
            cursor = self.connection.execute(query)
        else:
            cursor = self.connection.execute(f"{query} WHERE {column} = ?", (value,))
        return (row[0] for row in cursor)

    def mates(self, image_ids: Sequence[str]) -> dict[str, list[str]]:
        """For each image that is known, the ids of all images of its study, ascending."""
        mates: dict[str, list[str]] = {}
        rows = self._rows_of(
            image_ids,
            "SELECT own.image_id, mate.image_id FROM images own "
            "JOIN images mate ON mate.study = own.study "
            "WHERE own.image_id IN ({}) ORDER BY mate.image_id",
        )
        for own, mate in rows:
            mates.setdefault(own, []).append(mate)
        return mates

    def owners(
        self, image_ids: Sequence[str], column: Literal["study", "patient"]
    ) -> dict[str, str]:
        """For each image that is known, its study or patient."""
        statement = f"SELECT image_id, {column} FROM images WHERE image_id IN ({{}})"
        return dict(self._rows_of(image_ids, statement))

    def _rows_of(self, image_ids: Sequence[str], statement: str) -> Iterator[tuple[str, str]]:
        for start in range(0, len(image_ids), _PARAMETERS):
            part = image_ids[start : start + _PARAMETERS]
            marks = ",".join("?" * len(part))
            with self.lock:
                yield from self.connection.execute(statement.format(marks), part).fetchall()

    def shards(self) -> list[Shard]:
        """All shards by number."""
        with self.lock:
            rows = self.connection.execute(
                "SELECT number, rows, live, checksum FROM shards ORDER BY number"
            ).fetchall()
        return [Shard(*row) for row in rows]

    def live_rows(self, shard: int) -> npt.NDArray[np.int64]:
        """Rows of a shard that an image points to, ascending."""
        with self.lock:
            rows = self.connection.execute(
                "SELECT row FROM images WHERE shard = ? ORDER BY row", (shard,)
            ).fetchall()
        return np.array([row[0] for row in rows], np.int64)

    def outbox(self, limit: int = _PAGE) -> list[tuple[int, str, str, str | None]]:
        """The oldest entries: sequence number, image id, operation, document."""
        with self.lock:
            return self.connection.execute(
                "SELECT seq, image_id, op, document FROM outbox ORDER BY seq LIMIT ?", (limit,)
            ).fetchall()


def _image_row(row: Sequence[Any]) -> ImageRow:
    number, image_id, study, patient, metadata, reading, report, keys, *rest = row
    digest, thumbnail, shard, place, run, pooled = rest
    return ImageRow(
        number,
        image_id,
        study,
        patient,
        json.loads(metadata),
        json.loads(reading),
        json.loads(report) if report else None,
        json.loads(keys),
        digest,
        bool(thumbnail),
        shard,
        place,
        run,
        json.loads(pooled) if pooled else None,
    )


def _migrations() -> list[str]:
    """The migration scripts in order; script n brings a ledger to schema n."""
    folder = resources.files("indexer.database.ledger") / "migrations"
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".sql"))
    numbers = [int(name.split("_")[0]) for name in names]
    if numbers != list(range(1, len(names) + 1)):
        raise DatabaseError(f"the migrations are not numbered without gaps: {numbers}")
    return [(folder / name).read_text("utf-8") for name in names]
