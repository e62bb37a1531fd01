"""Questions to the ledger that have no answer where it agrees with itself and with the stores."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from indexer.database.ledger.table import LedgerTable
from indexer.errors import DatabaseError

__all__ = ["Checks"]

# Name of a check, the statement that counts what is wrong, and its text.
_LEDGER = {
    "image_without_file": (
        "SELECT count(*) FROM images i WHERE NOT EXISTS (SELECT 1 FROM files f WHERE "
        "f.image_id = i.image_id AND f.status = 'done') AND NOT EXISTS "
        "(SELECT 1 FROM released r WHERE r.image_id = i.image_id)",
        "images that no file is read as",
    ),
    "file_without_image": (
        "SELECT count(*) FROM files f WHERE image_id IS NOT NULL AND NOT EXISTS "
        "(SELECT 1 FROM images i WHERE i.image_id = f.image_id)",
        "files whose image is missing",
    ),
    "shard_count": (
        "SELECT count(*) FROM shards s WHERE live <> "
        "(SELECT count(*) FROM images i WHERE i.shard = s.number)",
        "shards whose count of images is wrong",
    ),
}
_WAITING = "(SELECT image_id FROM outbox)"
_TEXTS = {
    "missing": (
        f"SELECT count(*) FROM images WHERE image_id NOT IN {_WAITING} "
        "AND image_id NOT IN (SELECT image_id FROM temp.stored)",
        "images are missing in the text store",
    ),
    "unknown": (
        f"SELECT count(*) FROM temp.stored WHERE image_id NOT IN {_WAITING} "
        "AND image_id NOT IN (SELECT image_id FROM images)",
        "documents of the text store belong to no image",
    ),
    "different": (
        "SELECT count(*) FROM images i JOIN temp.stored s USING (image_id) "
        f"WHERE s.hash <> i.document_hash AND image_id NOT IN {_WAITING}",
        "documents of the text store differ from the ledger",
    ),
    "twice": (
        "SELECT count(*) - count(DISTINCT image_id) FROM temp.stored",
        "documents stand twice in the text store",
    ),
}


class Checks(LedgerTable):
    """Comparisons; each gives what is wrong, how often, and in words."""

    def is_damaged(self) -> bool:
        """Whether SQLite finds that the file is not what it wrote."""
        try:
            return bool(self._value("PRAGMA integrity_check(1)") != "ok")
        except (DatabaseError, sqlite3.DatabaseError):
            return True

    def ledger(self) -> Iterator[tuple[str, int, str]]:
        """Where the tables of the ledger disagree."""
        for what, (query, words) in _LEDGER.items():
            if count := self._value(query):
                yield what, count, f"{count} {words}"

    def texts(self, stored: Iterable[tuple[str, str]]) -> Iterator[tuple[str, int, str]]:
        """Where the documents of a text store, by id and hash, are not those of the images."""
        self._change("DROP TABLE IF EXISTS temp.stored")
        self._change("CREATE TEMP TABLE stored (image_id TEXT, hash TEXT)")
        self._change_each("INSERT INTO stored VALUES (?, ?)", stored)
        self._change("CREATE INDEX temp.stored_by_id ON stored (image_id)")
        for what, (query, words) in _TEXTS.items():
            if count := self._value(query):
                yield what, count, f"{count} {words}"

    def pictures(self, stored: Iterable[str]) -> tuple[int, int]:
        """How many images lack their picture among those stored, and how many of these no image
        should have."""
        self._change("DROP TABLE IF EXISTS temp.pictures")
        self._change("CREATE TEMP TABLE pictures (image_id TEXT PRIMARY KEY)")
        self._change_each("INSERT INTO pictures VALUES (?)", ((i,) for i in stored))
        missing = self._value(
            "SELECT count(*) FROM images WHERE thumbnail "
            "AND image_id NOT IN (SELECT image_id FROM temp.pictures)"
        )
        unknown = self._value(
            "SELECT count(*) FROM temp.pictures WHERE image_id NOT IN "
            "(SELECT image_id FROM images WHERE thumbnail) "
            f"AND image_id NOT IN {_WAITING}"
        )
        return int(missing), int(unknown)

    def images_of_no_file(self) -> list[str]:
        """Ids that files name and that no image has."""
        rows = self._all(
            "SELECT DISTINCT image_id FROM files WHERE image_id IS NOT NULL "
            "AND image_id NOT IN (SELECT image_id FROM images)"
        )
        return [image_id for (image_id,) in rows]
