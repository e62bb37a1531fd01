"""Writing shards anew without their dead rows, a few of them at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from indexer.database.layout import Layout
from indexer.database.ledger.ledger import Ledger
from indexer.database.vectors.shards import Shard, Shards, write_shard

__all__ = ["Compaction", "Compactor", "next_shard", "register_shard"]

# Shards below this size are merged once there are this many, up to the full size.
_SMALL_ROWS = 16_384
_SMALL_SHARDS = 32
_FULL_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a compaction did.

    Parameters
    ----------
    shards
        How many were written anew.
    dropped
        Dead rows that these had.
    """

    shards: int
    dropped: int

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)


class Compactor:
    """Merges shards of one database.

    Each new shard is written durably and then takes the place of its sources in one transaction;
    killed anywhere, every image has its vector in one shard that the ledger knows. The old files
    stay: readers of an earlier moment may be about to map them.

    Parameters
    ----------
    layout, ledger
        The database, open for writing.
    shards_of
        Gives the committed shards of some numbers.
    """

    def __init__(
        self, layout: Layout, ledger: Ledger, shards_of: Callable[[Sequence[int]], Shards]
    ) -> None:
        self._layout = layout
        self._ledger = ledger
        self._shards_of = shards_of

    def small(self) -> Compaction:
        """Merge small and mostly dead shards once there are many."""
        small = [shard for shard in self._ledger.shards() if shard.live < _SMALL_ROWS]
        return self._write(small if len(small) > _SMALL_SHARDS else [])

    def everything(self) -> Compaction:
        """Write each shard anew that has dead rows, and merge the small ones."""
        shards = self._ledger.shards()
        mergeable = sum(shard.live < _SMALL_ROWS for shard in shards) > 1
        return self._write(
            [s for s in shards if s.live < s.rows or (mergeable and s.live < _SMALL_ROWS)]
        )

    def _write(self, shards: Sequence[Shard]) -> Compaction:
        for batch in _batches(shards):
            self._merge(batch)
        return Compaction(len(shards), sum(shard.rows - shard.live for shard in shards))

    def _merge(self, sources: Sequence[Shard]) -> None:
        """Copy the live rows of some shards, in order, into a new one that replaces them."""
        merged = self._shards_of([shard.number for shard in sources])
        number = next_shard(self._ledger)
        vectors = merged.rows(merged.positions)
        checksum = write_shard(self._layout.embeddings, number, vectors, merged.keys)
        old = (
            (shard.number, row)
            for index, shard in enumerate(merged.shards)
            for row in merged.live(index).tolist()
        )
        with self._ledger.transaction() as sql:
            register_shard(sql, number, len(vectors), checksum)
            sql.executemany(
                "UPDATE images SET shard = ?, row = ? WHERE shard = ? AND row = ?",
                [(number, new, *place) for new, place in enumerate(old)],
            )
            sql.execute("DELETE FROM shards WHERE live = 0")


def _batches(shards: Sequence[Shard]) -> Iterator[list[Shard]]:
    batch: list[Shard] = []
    rows = 0
    for shard in shards:
        if batch and rows + shard.live > _FULL_ROWS:
            yield batch
            batch, rows = [], 0
        batch.append(shard)
        rows += shard.live
    if batch:
        yield batch


def next_shard(ledger: Ledger) -> int:
    """The number of the next shard, which is never given twice."""
    with ledger.lock:
        query = "SELECT value FROM meta WHERE key = 'shard'"
        return int(ledger.connection.execute(query).fetchone()[0])


def register_shard(sql: sqlite3.Connection, number: int, rows: int, checksum: str) -> None:
    """Enter a shard that is written into the ledger, in the transaction of its images."""
    sql.execute(
        "INSERT INTO shards (number, rows, checksum) VALUES (?, ?, ?)", (number, rows, checksum)
    )
    sql.execute("UPDATE meta SET value = ? WHERE key = 'shard'", (number + 1,))
