"""FAISS over the embedding shards: built as numbered generations, searched with exact scores.

A generation is a cache: it may be deleted at any time, and may lag behind. What it does not hold
yet is compared exactly; what has gone since is masked.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer import advice
from indexer.database.checksums.folder import check
from indexer.database.vectors.arrays import load_array
from indexer.database.vectors.generation import Entries, Generation, generations
from indexer.database.vectors.shards import Shards, ascending_keys
from indexer.database.vectors.tuning import search_parameters
from indexer.errors import NotFoundError

__all__ = ["Vectors"]

_log = logging.getLogger(__name__)

# If a filter leaves at most this many images, comparing all of them is faster than the lists.
_EXACT_LIMIT = 10_000
_SEED = 20260101
# By which share the product of a compressed vector may differ from that of the exact one.
_SLACK = {"SQfp16": 0.002, "SQ8": 0.1}
_COARSE_SLACK = 0.3

Keys = npt.NDArray[np.int64]
Vector = npt.NDArray[np.float32]
Found = tuple[npt.NDArray[np.float32], Keys]


class Vectors:
    """All vectors of one moment of a database, to be searched by inner product.

    Threads may share it: nothing in it changes with a search.

    Parameters
    ----------
    folder
        ``vectors/`` of a database.
    shards
        The truth at that moment.
    few
        At most so many images are all compared, and FAISS is not loaded for them; 0 for never.
    """

    def __init__(self, folder: Path, shards: Shards, *, few: int = 0) -> None:
        self._shards = shards
        shards.hold()
        self._generation: Generation | None = None
        self._index: Any = None
        self._entries: Entries | None = None
        #: Along which the index holds vectors; None where it holds them as they are.
        self._axes: npt.NDArray[np.float32] | None = None
        # A newer generation may take the place of those that were listed.
        listed: list[Path] = []
        needed = not few or len(shards) > few
        while needed and self._generation is None and listed != (now := generations(folder)):
            listed = now
            for path in listed:
                if self._open(path):
                    break
        #: Bits of the generation's entries whose image is there; None if all are.
        self._alive: npt.NDArray[np.uint8] | None = None
        #: Per shard of the generation, the position of its first row; -1 where it is gone.
        self._bases = np.empty(0, np.int64)
        #: Positions and keys, ascending by key, of live rows the generation does not hold.
        self._fresh = self._fresh_keys = np.empty(0, np.int64)
        self._compare()

    def _open(self, path: Path) -> bool:
        import faiss

        if damaged := check(path.parent.parent, f"vectors/{path.name}/", quick=True):
            _log.warning("a vector index is damaged (%s) and is ignored", damaged[0])
            return False
        try:
            generation = Generation.read(path)
            entries = Entries(path, generation)
            flags = faiss.IO_FLAG_MMAP_IFC if generation.count else 0
            index = faiss.read_index(str(path / "index.faiss"), flags)
            axes = None
            if generation.lists:
                axes = load_array(path / "axes.npy", None, "f", mapped=False)
        except (OSError, ValueError, TypeError, RuntimeError):
            # A newer generation may have replaced it meanwhile; without any, search is exact.
            _log.warning("a vector index cannot be read and is ignored")
            return False
        shape = (self._shards.dimensions, index.d)
        fits = shape[0] == shape[1] if axes is None else axes.shape == shape
        if index.ntotal != len(entries) or not fits:
            _log.warning("a vector index does not fit its keys and is ignored")
            return False
        self._generation, self._index, self._entries = generation, index, entries
        self._axes = axes
        return True

    def _compare(self) -> None:
        """Find the dead entries and the fresh rows; only shards that changed are looked at."""
        shards = self._shards
        places = {shard.number: index for index, shard in enumerate(shards.shards)}
        fresh = dict.fromkeys(range(len(shards.shards)))
        positions, keys = [np.empty(0, np.int64)], [np.empty(0, np.int64)]

        def add(index: int, rows: npt.NDArray[np.int64]) -> None:
            positions.append(shards.starts[index] + rows)
            keys.append(shards.keys_in(index)[rows])

        if self._generation is not None and self._entries is not None:
            alive = np.ones(len(self._entries), np.bool_)
            bases = []
            for order, (number, live) in enumerate(self._generation.shards):
                index = places.get(number)
                span = slice(self._entries.starts[order], self._entries.starts[order + 1])
                if index is None:
                    alive[span] = False
                    bases.append(-1)
                    continue
                bases.append(int(shards.starts[index]))
                del fresh[index]
                if shards.shards[index].live != live:
                    held, rows = self._entries.rows[span], shards.live(index)
                    alive[span] = np.isin(held, rows)
                    # The generation may be newer than this moment.
                    add(index, np.setdiff1d(rows, held))
            self._bases = np.array(bases, np.int64)
            if not alive.all():
                self._alive = np.packbits(alive, bitorder="little")
        for index in fresh:
            add(index, shards.live(index))
        together = np.concatenate(keys)
        order_of_keys = np.argsort(together, kind="stable")
        self._fresh = np.concatenate(positions)[order_of_keys]
        self._fresh_keys = together[order_of_keys]

    def __len__(self) -> int:
        return len(self._shards)

    @property
    def generation(self) -> Generation | None:
        """The FAISS generation in use."""
        return self._generation

    @property
    def keys(self) -> Keys:
        """Keys of all images, shape (n,)."""
        if self._entries is None:
            return self._fresh_keys
        held = self._entries.keys
        if self._alive is not None:
            held = held[np.unpackbits(self._alive, count=len(held), bitorder="little") > 0]
        return np.concatenate([held, self._fresh_keys]) if len(self._fresh) else held

    def held(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Which of some keys are of an image, shape (n,)."""
        return self._locate(keys) >= 0

    def stored_vectors(self, keys: Keys) -> npt.NDArray[np.float32]:
        """Vectors of images by key, shape (n, dimensions).

        Raises
        ------
        NotFoundError
            One of `keys` belongs to no image.
        """
        positions = self._locate(np.asarray(keys, np.int64))
        if (positions < 0).any():
            raise NotFoundError(f"no vector for one of the images: {advice.VERIFY}")
        return self._shards.rows(positions)

    def search(
        self,
        query: npt.NDArray[np.floating],
        k: int,
        *,
        keys: Keys | None = None,
        excluded: Keys | None = None,
    ) -> Found:
        """The `k` most similar images, best first; fewer where there are not as many.

        Parameters
        ----------
        query
            Shape (dimensions,); its length changes neither order nor scores.
        k
            At least 1.
        keys
            The only images that may be found; None for all. A narrow choice is searched exactly.
        excluded
            Images that must not be found.

        Returns
        -------
        scores, keys
            Inner products with the query at unit length, and keys, shape (m,) each, m <= k;
            images of equal score by ascending key.
        """
        vector = np.asarray(query, np.float32).reshape(-1)
        vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
        if k < 1 or not len(self):
            return _nothing()
        barred = ascending_keys(np.empty(0, np.int64) if excluded is None else excluded)
        fresh, own = self._fresh, self._fresh_keys
        if keys is None:
            if len(own) and len(barred):
                allowed = _places(barred, own) < 0
                fresh, own = fresh[allowed], own[allowed]
        else:
            keys = ascending_keys(keys)
            if len(barred):
                keys = keys[_places(barred, keys) < 0]
            if len(keys) <= _EXACT_LIMIT:
                positions = self._locate(keys)
                held = positions >= 0
                return self._exact(vector, positions[held], keys[held], k)
            if len(own):
                allowed = _places(keys, own) >= 0
                fresh, own = fresh[allowed], own[allowed]
        near = self._approximate(vector, k, keys, barred)
        scores, names = _joined(near, self._exact(vector, fresh, own, k))
        return _best(scores, names, k)

    def _approximate(self, vector: Vector, k: int, keys: Keys | None, barred: Keys) -> Found:
        if self._generation is None or self._entries is None:
            return _nothing()
        import faiss

        bits = self._bits(keys, barred)
        count = available = len(self._entries)
        selector = None
        if bits is not None:
            available = int(np.bitwise_count(bits).sum())
            selector = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        wanted = min(k * self._generation.rerank, available)
        if not wanted:
            return _nothing()
        asked = self._projected(vector[None])
        nprobe = self._generation.nprobe
        if nprobe:
            # Enough lists to hold as many allowed images as without a filter.
            nprobe = min(-(-nprobe * count // available), self._index.nlist)
        while True:
            parameters = search_parameters(self._index, nprobe, selector)
            _, found = self._index.search(asked, wanted, params=parameters)
            entries = found[0][found[0] >= 0]
            # A filter, or a large k, may empty the lists that were looked into.
            if not nprobe or len(entries) >= wanted or nprobe >= self._index.nlist:
                break
            nprobe = min(4 * nprobe, self._index.nlist)
        return self._exact(vector, self._positions(entries), self._entries.keys[entries], k)

    def _projected(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return vectors if self._axes is None else vectors @ self._axes

    def _bits(self, keys: Keys | None, barred: Keys) -> npt.NDArray[np.uint8] | None:
        """A bit for each entry of the generation that may be found; None for all."""
        if self._entries is None or (keys is None and not len(barred) and self._alive is None):
            return None
        if keys is None:
            bits = np.full(-(-len(self._entries) // 8), 255, np.uint8)
            bits[-1] >>= -len(self._entries) % 8
        else:
            chosen = np.zeros(len(self._entries), np.bool_)
            entries = self._entries.find(keys)
            chosen[entries[entries >= 0]] = True
            bits = np.packbits(chosen, bitorder="little")
        if self._alive is not None:
            bits &= self._alive
        if keys is None:
            for entry in self._entries.find(barred).tolist():
                if entry >= 0:
                    bits[entry >> 3] &= ~np.uint8(1 << (entry & 7))
        return bits

    def _positions(self, entries: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Positions of entries of the generation; -1 for those of a shard that is gone."""
        assert self._entries is not None
        bases = self._bases[np.searchsorted(self._entries.starts, entries, side="right") - 1]
        return np.where(bases >= 0, bases + self._entries.rows[entries], np.int64(-1))

    def _locate(self, keys: Keys) -> npt.NDArray[np.int64]:
        """Positions of images by key, shape (n,); -1 where there is none."""
        positions = np.full(len(keys), -1, np.int64)
        if self._entries is not None:
            entries = self._entries.find(keys)
            held = np.flatnonzero(entries >= 0)
            if self._alive is not None:
                found = entries[held]
                held = held[(self._alive[found >> 3] >> (found & 7).astype(np.uint8)) & 1 > 0]
            positions[held] = self._positions(entries[held])
        if len(self._fresh):
            places = _places(self._fresh_keys, keys)
            fresh = places >= 0
            positions[fresh] = self._fresh[places[fresh]]
        return positions

    def _exact(self, vector: Vector, positions: npt.NDArray[np.int64], keys: Keys, k: int) -> Found:
        found = _nothing()
        for part, rows in self._shards.chunks(positions):
            found = _best(*_joined(found, (rows @ vector, keys[part])), k)
        return found

    def disagreements(self, sample: int = 500) -> Iterator[tuple[str, int, str]]:
        """What is wrong with the generation: ``keys`` or ``values``, of how many, and in words.

        Nothing where it is fine; that it lags behind is no disagreement.
        """
        if self._generation is None or self._entries is None:
            return
        if misplaced := self._entries.count_misplaced():
            yield (
                "keys",
                misplaced,
                f"{misplaced} images of the FAISS index are not found by their keys",
            )
        shards = self._shards
        places = {shard.number: index for index, shard in enumerate(shards.shards)}
        wrong = 0
        for order, (number, _) in enumerate(self._generation.shards):
            if number in places:
                span = slice(self._entries.starts[order], self._entries.starts[order + 1])
                keys, rows = shards.keys_in(places[number]), self._entries.rows[span]
                inside = (rows >= 0) & (rows < len(keys))
                same = keys[np.where(inside, rows, 0)] == self._entries.keys[span]
                wrong += int((~(inside & same)).sum())
        if wrong:
            yield "keys", wrong, f"the FAISS index and the shards differ in {wrong} images"
            return
        chosen = np.random.default_rng(_SEED).permutation(len(self._entries))[:sample]
        positions = self._positions(chosen)
        vectors = shards.rows(positions[positions >= 0])
        if not len(vectors):
            return
        scores, entries = self._index.search(
            self._projected(vectors),
            1,
            params=search_parameters(self._index, self._generation.nprobe),
        )
        places_found = self._positions(np.maximum(entries[:, 0], 0))
        known = (entries[:, 0] >= 0) & (places_found >= 0)
        # The hit must have the score that the index says, and be no farther than the image itself.
        nearest = shards.rows(places_found[known])
        own = (vectors[known] ** 2).sum(1)
        slack = _SLACK.get(self._generation.code, _COARSE_SLACK) * own
        right = np.abs(scores[known, 0] - (vectors[known] * nearest).sum(1)) < slack
        right &= scores[known, 0] > own - slack
        if differing := int((~right).sum()):
            detail = f"{differing} of {len(vectors)} sampled vectors differ from their shards"
            yield "values", differing, detail


def _nothing() -> Found:
    return np.empty(0, np.float32), np.empty(0, np.int64)


def _joined(first: Found, second: Found) -> Found:
    return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])


def _places(table: Keys, keys: Keys) -> npt.NDArray[np.int64]:
    """Where in an ascending table keys stand; -1 where they do not."""
    if not len(table):
        return np.full(len(keys), -1, np.int64)
    places = np.minimum(np.searchsorted(table, keys), len(table) - 1)
    return np.where(table[places] == keys, places, -1)


def _best(scores: npt.NDArray[np.float32], keys: Keys, k: int) -> Found:
    order = np.lexsort((keys, -scores))[:k]
    return scores[order], keys[order]
