"""What the tests of this folder share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from indexer.database.vectors.builder import build_vectors
from indexer.database.vectors.index import Vectors
from indexer.database.vectors.plan import IndexPlan
from indexer.database.vectors.shards import Shard, Shards, write_shard

COUNT, DIMENSIONS = 4000, 24


INVERTED = IndexPlan(120, "SQ8")


PLANS = {
    "flat": IndexPlan(0, "SQfp16"),
    "lists": INVERTED,
    "graph": IndexPlan(120, "SQ8", graph=True),
    "product": IndexPlan(120, "PQ12x8", recall=0.95),
}


Keys = npt.NDArray[np.int64]


@dataclass
class Store:
    """Shards that change as a writer changes them."""

    folder: Path
    shards: list[Shard] = field(default_factory=list)
    live: dict[int, npt.NDArray[np.int64]] = field(default_factory=dict)
    written: int = 0

    def now(self) -> Shards:
        return Shards(self.folder, list(self.shards), dict(self.live).__getitem__, DIMENSIONS)

    def add(self, rows: npt.NDArray[np.floating], keys: Keys) -> None:
        self.written += 1
        checksum = write_shard(self.folder, self.written, rows, keys)
        self.shards.append(Shard(self.written, len(keys), len(keys), checksum))

    def drop(self, keys: Keys) -> None:
        now = self.now()
        for place, shard in enumerate(list(self.shards)):
            live = now.live(place)
            live = live[~np.isin(now.keys_in(place)[live], keys)]
            self.live[shard.number] = live
            self.shards[place] = replace(shard, live=len(live))
        self.shards = [shard for shard in self.shards if shard.live]

    def compact(self) -> None:
        now = self.now()
        rows, keys = now.rows(now.positions), now.keys
        self.shards, self.live = [], {}
        self.add(rows, keys)


def _rows(count: int, seed: int) -> npt.NDArray[np.float32]:
    """Vectors in clusters, of unequal length."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(1).normal(size=(40, DIMENSIONS))
    rows = centres[rng.integers(0, 40, count)] + 0.5 * rng.normal(size=(count, DIMENSIONS))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True) * rng.uniform(0.8, 1.2, (count, 1))
    return rows.astype(np.float16).astype(np.float32)


def _store(folder: Path) -> Store:
    """Two shards, one of which has dead rows."""
    folder.mkdir()
    store = Store(folder)
    rows, keys = _rows(COUNT, 2), np.random.default_rng(3).permutation(COUNT).astype(np.int64)
    keys -= COUNT // 2
    store.add(rows[:1500], keys[:1500])
    store.add(rows[1500:], keys[1500:])
    store.drop(keys[-500:])
    return store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return _store(tmp_path / "embeddings")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return _store(tmp_path_factory.mktemp("shards") / "embeddings").now()


def _exact(
    shards: Shards, query: npt.NDArray[np.float32], k: int, allowed: Keys | None = None
) -> list[int]:
    scores = shards.rows(shards.positions) @ (query / np.linalg.norm(query))
    order = np.lexsort((shards.keys, -scores))
    names = shards.keys[order]
    found: list[int] = (names if allowed is None else names[np.isin(names, allowed)])[:k].tolist()
    return found


def _queries(shards: Shards, count: int) -> npt.NDArray[np.float32]:
    step = max(len(shards) // count, 1)
    rows: npt.NDArray[np.float32] = shards.rows(shards.positions[::step][:count])
    return rows + 0.02 * np.random.default_rng(4).normal(size=rows.shape).astype(np.float32)


def _recall(vectors: Vectors, shards: Shards, k: int = 10, allowed: Keys | None = None) -> float:
    right = wanted = 0
    for query in _queries(shards, 40):
        scores, keys = vectors.search(query, k, keys=allowed)
        true = _exact(shards, query, k, allowed)
        assert (np.diff(scores) <= 0).all()
        assert len(set(keys.tolist())) == len(keys) == len(true)
        unit = query / np.linalg.norm(query)
        np.testing.assert_allclose(scores, vectors.stored_vectors(keys) @ unit, atol=1e-5)
        right += len({*keys.tolist()} & {*true})
        wanted += len(true)
    return right / max(wanted, 1)


@pytest.fixture(scope="module")
def stages(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, list[tuple[Vectors, Shards]]]:
    """By kind of index: as built, after changes that it lags behind, extended, and compacted."""
    found = {}
    for name in ("flat", "lists"):
        folder = tmp_path_factory.mktemp(name)
        store = _store(folder / "embeddings")
        vectors = folder / "vectors"
        moments: list[tuple[Vectors, Shards]] = []

        def remember(
            store: Store = store,
            vectors: Path = vectors,
            moments: list[tuple[Vectors, Shards]] = moments,
        ) -> None:
            moments.append((Vectors(vectors, store.now()), store.now()))

        build_vectors(vectors, store.now(), plan=PLANS[name])
        remember()
        store.add(_rows(600, 7), np.arange(10_000, 10_600))
        store.drop(np.arange(-400, 300))
        remember()
        build_vectors(vectors, store.now(), plan=PLANS[name])
        remember()
        store.compact()
        remember()
        build_vectors(vectors, store.now(), plan=PLANS[name])
        remember()
        found[name] = moments
    return found
