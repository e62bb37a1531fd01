"""The shards that are committed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from indexer.database.ledger.table import LedgerTable
from indexer.database.vectors.shards import Shard, Shards
from indexer.errors import DatabaseError

__all__ = ["CommittedShards"]

_log = logging.getLogger(__name__)


class CommittedShards(LedgerTable):
    """The table `shards`."""

    def all(self) -> list[Shard]:
        """By number."""
        rows = self._all("SELECT number, rows, live, checksum FROM shards ORDER BY number")
        return [Shard(*row) for row in rows]

    def open(self, folder: Path, dimensions: int, numbers: Sequence[int] | None = None) -> Shards:
        """The vectors of all shards, or of those of some numbers.

        Parameters
        ----------
        folder
            Where their files are.
        dimensions
            Length of the vectors.
        """
        shards = [shard for shard in self.all() if numbers is None or shard.number in numbers]
        return Shards(folder, shards, self.live_rows, dimensions)

    def live_rows(self, number: int) -> npt.NDArray[np.int64]:
        """Rows of a shard that an image points to, ascending."""
        rows = self._all("SELECT row FROM images WHERE shard = ? ORDER BY row", number)
        return np.array([row for (row,) in rows], np.int64)

    def read_vectors(
        self, folder: Path, image_ids: Sequence[str], dimensions: int
    ) -> dict[str, npt.NDArray[np.float32]]:
        """The vectors of some images by id, shape (dimensions,) each.

        Unknown images are left out, and those of shards that cannot be read, which `verify` tells.

        Parameters
        ----------
        folder
            Where the files of the shards are.
        """
        statement = "SELECT image_id, shard, row FROM images WHERE image_id IN ({})"
        places: dict[int, list[tuple[str, int]]] = {}
        for image_id, number, row in self._select_each(image_ids, statement):
            places.setdefault(number, []).append((image_id, row))
        found: dict[str, npt.NDArray[np.float32]] = {}
        for number, rows in places.items():
            try:
                opened = self.open(folder, dimensions, [number])
                vectors = opened.rows(np.array([row for _, row in rows], np.int64))
            except DatabaseError as error:
                _log.warning("%d images are sent without their vectors: %s", len(rows), error)
                continue
            found |= {image: vector for (image, _), vector in zip(rows, vectors, strict=True)}
        return found

    @property
    def next_number(self) -> int:
        """The number of the next shard, which is never given twice."""
        return int(self._value("SELECT value FROM meta WHERE key = 'shard'"))

    def register(self, number: int, rows: int, checksum: str) -> None:
        """Enter a shard that is written, in the transaction of its images."""
        self._change(
            "INSERT INTO shards (number, rows, checksum) VALUES (?, ?, ?)", number, rows, checksum
        )
        self._change("UPDATE meta SET value = ? WHERE key = 'shard'", number + 1)

    def drop_empty(self) -> None:
        """Forget the shards that no image points to."""
        self._change("DELETE FROM shards WHERE live = 0")

    def count_again(self) -> None:
        """Set right how many images point to each shard."""
        self._change("UPDATE shards SET live = (SELECT count(*) FROM images WHERE shard = number)")
