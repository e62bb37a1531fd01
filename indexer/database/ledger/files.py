"""The files of the archives, and the images that lost one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from indexer.database.ledger.table import LedgerTable

if TYPE_CHECKING:
    from indexer.database.outcomes import Failed, File, Read, Skipped

__all__ = ["STATUSES", "FileRecord", "FileStatus", "Files"]

FileStatus: TypeAlias = Literal["done", "duplicate", "skipped", "failed"]
STATUSES: tuple[FileStatus, ...] = ("done", "duplicate", "skipped", "failed")

_COLUMNS = "files.id, status, archives.path, name, reason, detail, attempts, image_id"
_JOINED = "files JOIN archives ON archive = archives.id"


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

    status: FileStatus
    archive: str
    name: str
    reason: str | None
    detail: str | None
    attempts: int
    image_id: str | None


class Files(LedgerTable):
    """The tables `archives`, `files` and `released`."""

    # ---- asking ---------------------------------------------------------------------------------

    def counts(self) -> dict[FileStatus, int]:
        """Files by status; all four are there."""
        counts: dict[FileStatus, int] = dict.fromkeys(STATUSES, 0)
        counts.update(self._all("SELECT status, count(*) FROM files GROUP BY status"))
        return counts

    def reasons(self) -> dict[FileStatus, dict[str, int]]:
        """Skipped and failed files by reason, the commonest first."""
        reasons: dict[FileStatus, dict[str, int]] = {"skipped": {}, "failed": {}}
        for status, reason, count in self._all(
            "SELECT status, reason, count(*) FROM files WHERE status IN ('skipped', 'failed') "
            "GROUP BY 1, 2 ORDER BY 3 DESC, 2"
        ):
            reasons[status][reason] = count
        return reasons

    def by_archive(self) -> dict[str, int]:
        """Number of files by the path of their archive."""
        return dict(self._all(f"SELECT path, count(*) FROM {_JOINED} GROUP BY 1"))

    def records(
        self, *, statuses: Iterable[FileStatus] = STATUSES, reason: str | None = None
    ) -> Iterator[FileRecord]:
        """Files in the order in which they were first read, by status and reason."""
        wanted = list(statuses)
        marks = ",".join("?" * len(wanted))
        rows = self._paged(
            f"SELECT {_COLUMNS} FROM {_JOINED} WHERE files.id > ? AND status IN ({marks}) "
            "AND (? IS NULL OR reason = ?) ORDER BY files.id LIMIT ?",
            *wanted, reason, reason,
        )  # fmt: skip
        return (FileRecord(*row[1:]) for row in rows)

    def of_image(self, image_id: str) -> list[FileRecord]:
        """The files that hold an image, the one it is read from first."""
        rows = self._all(
            f"SELECT {_COLUMNS} FROM {_JOINED} WHERE image_id = ? "
            "ORDER BY status = 'duplicate', files.id",
            image_id,
        )
        return [FileRecord(*row[1:]) for row in rows]

    def names_by_image(self, image_ids: Sequence[str]) -> dict[str, list[str]]:
        """For each image that is known, the names of the files that hold it."""
        names: dict[str, list[str]] = {}
        statement = "SELECT image_id, name FROM files WHERE image_id IN ({})"
        for image_id, name in self._select_each(image_ids, statement):
            names.setdefault(image_id, []).append(name)
        return names

    def image_behind(self, file: File) -> str | None:
        """The image that a file held when it was last read."""
        found = self._value(
            "SELECT image_id FROM files WHERE archive = ? AND name = ?", *file.place
        )
        return str(found) if found else None

    def owner(self, image_id: str) -> tuple[int, str] | None:
        """Archive number and name of the file an image is read from."""
        row = self._one(
            "SELECT archive, name FROM files WHERE image_id = ? AND status = 'done'", image_id
        )
        return (row[0], row[1]) if row else None

    def first_entry(self, image_id: str) -> tuple[int, FileStatus, str | None] | None:
        """Number, status and `Header` as text of the file that is to stand for an image."""
        row = self._one(
            "SELECT id, status, identity FROM files WHERE image_id = ? "
            "ORDER BY status = 'duplicate', id LIMIT 1",
            image_id,
        )
        return (row[0], row[1], row[2]) if row else None

    def hides(self, image_id: str) -> bool:
        """Whether a duplicate of an image says that text is burned into it."""
        row = self._one(
            "SELECT 1 FROM files WHERE image_id = ? "
            "AND json_extract(identity, '$.metadata.burned_in')",
            image_id,
        )
        return row is not None

    def images_in(self, archive: int, most: int) -> list[str]:
        """Ids of the images read from the archive of a number, at most `most` of them."""
        rows = self._all(
            "SELECT image_id FROM files WHERE archive = ? AND status = 'done' LIMIT ?",
            archive, most,
        )  # fmt: skip
        return [image_id for (image_id,) in rows]

    def archives(self) -> list[tuple[int, str, int]]:
        """Number and path of each archive, and how many images are read from it."""
        rows = self._all(
            "SELECT a.id, a.path, count(f.id) FROM archives a LEFT JOIN files f "
            "ON f.archive = a.id AND f.status = 'done' GROUP BY a.id ORDER BY a.id"
        )
        return [(number, path, count) for number, path, count in rows]

    def archive_paths(self) -> list[str]:
        """Paths of all archives."""
        return [path for (path,) in self._all("SELECT path FROM archives ORDER BY id")]

    def archives_with_images(self) -> list[str]:
        """Paths of the archives that images are of."""
        rows = self._all(
            "SELECT path FROM archives a WHERE EXISTS (SELECT 1 FROM files f "
            "WHERE f.archive = a.id AND f.image_id IS NOT NULL) ORDER BY id"
        )
        return [path for (path,) in rows]

    # ---- changing -------------------------------------------------------------------------------

    def archive(self, path: str) -> int:
        """The number of an archive; it gets one if it has none."""
        self._change("INSERT OR IGNORE INTO archives (path) VALUES (?)", path)
        return int(self._value("SELECT id FROM archives WHERE path = ?", path))

    def record(
        self, outcome: Read | Skipped | Failed, run: int, *, duplicate: bool = False
    ) -> None:
        """Enter what became of a file; an image that it does not hold any more is released."""
        # Only here, as a search asks the ledger without them.
        from indexer.database.outcomes import Read, Skipped

        before = self.image_behind(outcome.file)
        image_id = reason = detail = identity = None
        status: FileStatus
        if isinstance(outcome, Read):
            image_id, status = outcome.image.image_id, "duplicate" if duplicate else "done"
            identity = outcome.header.to_text() if duplicate else None
        else:
            status = "skipped" if isinstance(outcome, Skipped) else "failed"
            reason, detail = outcome.reason, outcome.detail
        file = outcome.file
        self._change(
            "INSERT INTO files (archive, name, size, mtime_ns, checksum, status, reason, detail, "
            "image_id, identity, run) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (archive, name) DO UPDATE SET size = excluded.size, "
            "mtime_ns = excluded.mtime_ns, checksum = excluded.checksum, "
            "attempts = CASE WHEN status = 'failed' AND excluded.status = 'failed' "
            "THEN attempts + 1 ELSE 1 END, status = excluded.status, reason = excluded.reason, "
            "detail = excluded.detail, image_id = excluded.image_id, "
            "identity = excluded.identity, run = excluded.run",
            file.archive, file.name, file.size, file.mtime_ns, outcome.checksum,
            status, reason, detail, image_id, identity, run,
        )  # fmt: skip
        if before and before != image_id:
            self.release([before])

    def touch(self, file: File) -> None:
        """Enter the size and time of a file whose content is what it was."""
        self._change(
            "UPDATE files SET size = ?, mtime_ns = ? WHERE archive = ? AND name = ? "
            "AND (size <> ? OR mtime_ns <> ?)",
            file.size, file.mtime_ns, *file.place, file.size, file.mtime_ns,
        )  # fmt: skip

    def remove(self, archive: int, names: Sequence[str]) -> None:
        """Forget files; the images they held are released."""
        for name in names:
            self._change(
                "INSERT OR IGNORE INTO released SELECT image_id FROM files "
                "WHERE archive = ? AND name = ? AND image_id IS NOT NULL",
                archive, name,
            )  # fmt: skip
        self._change_each(
            "DELETE FROM files WHERE archive = ? AND name = ?", ((archive, name) for name in names)
        )

    def drop_entries(self, image_ids: Iterable[str]) -> None:
        """Forget the files of some images, so that the next run reads them as new ones."""
        self._change_each("DELETE FROM files WHERE image_id = ?", ((i,) for i in image_ids))

    def drop_all_with_images(self) -> None:
        """Forget all files that hold an image."""
        self._change("DELETE FROM files WHERE image_id IS NOT NULL")

    def promote(self, number: int) -> None:
        """Make a duplicate the file that its image is read from."""
        self._change("UPDATE files SET status = 'done', identity = NULL WHERE id = ?", number)

    def read_again(self, image_ids: Iterable[str]) -> None:
        """Let the next run read the files that some images are read from."""
        self._change_each(
            "UPDATE files SET checksum = NULL, mtime_ns = -1 WHERE image_id = ? "
            "AND status = 'done'",
            ((i,) for i in image_ids),
        )

    def move_archives(self, moves: Mapping[str, str]) -> None:
        """Give archives another path, old to new; a new one that is known must have no files."""
        for old, new in moves.items():
            self._change("DELETE FROM archives WHERE path = ? AND path <> ?", new, old)
            self._change("UPDATE archives SET path = ? WHERE path = ?", new, old)

    # ---- images that lost a file ----------------------------------------------------------------

    def released(self, limit: int) -> list[str]:
        """Some of the images that lost a file, ascending."""
        rows = self._all("SELECT image_id FROM released ORDER BY 1 LIMIT ?", limit)
        return [image_id for (image_id,) in rows]

    def release(self, image_ids: Iterable[str]) -> None:
        """Note images that lost a file."""
        self._change_each("INSERT OR IGNORE INTO released VALUES (?)", ((i,) for i in image_ids))

    def release_orphans(self) -> None:
        """Note the images that no file is read as."""
        self._change(
            "INSERT OR IGNORE INTO released SELECT image_id FROM images i WHERE NOT EXISTS "
            "(SELECT 1 FROM files f WHERE f.image_id = i.image_id AND f.status = 'done')"
        )

    def settled(self, image_id: str) -> None:
        """Take an image off that list."""
        self._change("DELETE FROM released WHERE image_id = ?", image_id)
