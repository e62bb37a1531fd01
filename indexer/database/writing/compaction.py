"""Writing shards anew without their dead rows, a few of them at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from indexer.database.durable import writing
from indexer.database.vectors.builder import build_vectors, lags, needs_build
from indexer.database.vectors.shards import Shard, write_shard
from indexer.database.writing.labels import drop_pruned_labels
from indexer.database.writing.recovery import remove_unused
from indexer.database.writing.stores import Stores

__all__ = ["Compaction", "Compactor", "refresh_vectors"]

_log = logging.getLogger(__name__)

# Shards of fewer rows than `_SMALL_ROWS` are merged once there are more than `_SMALL_SHARDS`.
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


class Compactor:
    """Merges shards of one database.

    Each new shard is written durably and then takes the place of its sources in one transaction;
    killed anywhere, every image has its vector in one shard that the ledger knows. The old files
    stay: readers of an earlier moment may be about to map them.

    Parameters
    ----------
    stores
        The database.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._ledger = stores.ledger
        self._folder = stores.layout.embeddings
        self._dimensions = stores.manifest.dimensions

    def small(self) -> Compaction:
        """Merge small and mostly dead shards once there are many."""
        small = [shard for shard in self._ledger.shards.all() if shard.live < _SMALL_ROWS]
        return self._write(small if len(small) > _SMALL_SHARDS else [])

    def everything(self) -> Compaction:
        """Write each shard anew that has dead rows, merge the small ones, and drop the dead rows of
        the vector index, the files that held them, and labels of images that were pruned."""
        drop_pruned_labels(self._stores)
        shards = self._ledger.shards.all()
        mergeable = sum(shard.live < _SMALL_ROWS for shard in shards) > 1
        done = self._write(
            [s for s in shards if s.live < s.rows or (mergeable and s.live < _SMALL_ROWS)]
        )
        lagging = lags(self._stores.layout.vectors, self._ledger.shards.all())
        refresh_vectors(self._stores, always=lagging)
        remove_unused(self._stores)
        return done

    def _write(self, shards: Sequence[Shard]) -> Compaction:
        for batch in _batches(shards):
            self._merge(batch)
        return Compaction(len(shards), sum(shard.rows - shard.live for shard in shards))

    def _merge(self, sources: Sequence[Shard]) -> None:
        """Copy the live rows of some shards, in order, into a new one that replaces them."""
        shards = self._ledger.shards
        merged = shards.open(self._folder, self._dimensions, [shard.number for shard in sources])
        number = shards.next_number
        vectors = merged.rows(merged.positions)
        checksum = write_shard(self._folder, number, vectors, merged.keys)
        old = (
            (shard.number, row)
            for index, shard in enumerate(merged.shards)
            for row in merged.live(index).tolist()
        )
        with self._ledger.transaction():
            shards.register(number, len(vectors), checksum)
            self._ledger.images.move((number, new, *place) for new, place in enumerate(old))
            shards.drop_empty()


def refresh_vectors(stores: Stores, *, always: bool) -> bool:
    """Build a FAISS generation where it is worth its time; tells whether it was."""
    if stores.manifest.vectors != "faiss":
        return False
    folder = stores.layout.vectors
    shards = stores.ledger.shards.open(stores.layout.embeddings, stores.manifest.dimensions)
    if not always and not needs_build(folder, shards):
        return False
    with writing(folder):
        generation = build_vectors(folder, shards)
    _log.info("built a vector index of %d images (%s)", generation.count, generation.kind)
    return True


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
