from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.database.vectors import builder
from indexer.database.vectors import index as module
from indexer.database.vectors.builder import build_vectors, needs_build
from indexer.database.vectors.generation import current_generation
from indexer.database.vectors.index import Vectors
from indexer.database.vectors.plan import Plan
from indexer.database.vectors.shards import Shard, Shards, write_shard
from indexer.errors import NotFoundError

COUNT, DIMENSIONS = 4000, 24
INVERTED = Plan(120, "SQ8")
PLANS = {
    "flat": Plan(0, "SQfp16"),
    "lists": INVERTED,
    "graph": Plan(120, "SQ8", graph=True),
    "product": Plan(120, "PQ12x8", recall=0.95),
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
        np.testing.assert_allclose(scores, vectors.vectors_of(keys) @ unit, atol=1e-5)
        right += len({*keys.tolist()} & {*true})
        wanted += len(true)
    return right / max(wanted, 1)


def test_positions_keys_and_rows_belong_together(shards: Shards) -> None:
    assert len(shards) == len(shards.positions) == len(set(shards.keys.tolist())) == 3500
    together = np.concatenate(list(shards.live_chunks()))
    np.testing.assert_array_equal(together, shards.rows(shards.positions))
    mixed = np.random.default_rng(0).permutation(3500)[:99]
    np.testing.assert_array_equal(shards.rows(shards.positions[mixed]), together[mixed])


@pytest.mark.parametrize("name", PLANS)
def test_recall(shards: Shards, tmp_path: Path, name: str) -> None:
    plan = PLANS[name]
    built = build_vectors(tmp_path, shards, plan=plan)
    assert (built.kind, built.count) == (plan.kind, 3500)
    assert built == current_generation(tmp_path)
    vectors = Vectors(tmp_path, shards)
    assert (vectors.generation, vectors.lag) == (built, 0)
    assert _recall(vectors, shards) >= (1 if name == "flat" else plan.recall - 0.02)
    assert min(built.recall, built.recall_100) >= plan.recall
    assert list(vectors.disagreements()) == []


def test_inverted_lists_never_give_fewer_than_there_are(
    shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_EXACT_LIMIT", 0)
    build_vectors(tmp_path, shards, plan=INVERTED)
    vectors = Vectors(tmp_path, shards)
    query = _queries(shards, 1)[0]
    assert vectors.search(query, 3500)[1].tolist() == _exact(shards, query, 3500)
    # Images far from the query, in lists that it does not look into first.
    far = np.array(_exact(shards, query, 3500)[-1500:], np.int64)
    found = vectors.search(query, 50, keys=far)[1]
    assert len(found) == 50
    assert {*found.tolist()} <= {*far.tolist()}
    assert np.isin(_exact(shards, query, 50, far), found).mean() > 0.9


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


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.sampled_from(["flat", "lists"]),
    moment=st.integers(0, 4),
    seed=st.integers(0, 10_000),
    k=st.integers(1, 40),
    share=st.sampled_from([0.0, 0.0005, 0.01, 0.1, 0.4, 0.9, 1.0]),
    without=st.integers(0, 30),
    limit=st.sampled_from([0, 100, 10_000]),
)
def test_filters_of_every_selectivity_at_every_moment(
    stages: dict[str, list[tuple[Vectors, Shards]]],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    moment: int,
    seed: int,
    k: int,
    share: float,
    without: int,
    limit: int,
) -> None:
    vectors, shards = stages[kind][moment]
    monkeypatch.setattr(module, "_EXACT_LIMIT", limit)
    rng = np.random.default_rng(seed)
    query = _queries(shards, 100)[seed % 100]
    everything = np.arange(-COUNT // 2, 10_600)
    allowed = rng.permutation(everything[rng.random(len(everything)) < share])
    barred = rng.choice(everything, without, replace=False)
    for keys in (allowed, None):
        free = np.setdiff1d(everything if keys is None else keys, barred)
        expected = _exact(shards, query, k, free)
        scores, found = vectors.search(query, k, keys=keys, excluded=barred)
        assert len(found) == len(expected)
        assert {*found.tolist()} <= {*free.tolist()} & {*shards.keys.tolist()}
        rows = vectors.vectors_of(found)
        np.testing.assert_allclose(scores, rows @ (query / np.linalg.norm(query)), atol=1e-5)
        missed = {*expected} - {*found.tolist()}
        assert len(missed) <= (0 if kind == "flat" else max(1, 0.1 * k))


@pytest.mark.parametrize("name", PLANS)
def test_new_images_are_added_and_dead_ones_dropped(
    store: Store, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, plan = tmp_path / "vectors", PLANS[name]
    build_vectors(folder, store.now(), plan=plan)
    if plan.lists:
        monkeypatch.setattr(builder, "train", lambda *_: pytest.fail("trained anew"))
    for step in range(3):
        store.add(_rows(200, 20 + step), np.arange(200) + 10_000 * (step + 1))
        store.drop(np.arange(-1000 + 100 * step, -900 + 100 * step))
        if step == 1:
            store.compact()
        lagging = Vectors(folder, store.now())
        assert lagging.lag > 0
        assert _recall(lagging, store.now()) > 0.93
        built = build_vectors(folder, store.now(), plan=plan)
        vectors = Vectors(folder, store.now())
        assert (vectors.lag, built.count) == (0, len(store.now()))
        assert list(vectors.disagreements()) == []
        assert sorted(vectors.keys.tolist()) == sorted(store.now().keys.tolist())
        assert _recall(vectors, store.now()) > 0.93
    assert len(list(folder.iterdir())) == 1


def test_an_outgrown_index_is_trained_anew(store: Store, tmp_path: Path) -> None:
    build_vectors(tmp_path / "vectors", store.now(), plan=Plan(40, "SQ8"))
    store.add(_rows(100, 9), np.arange(10_000, 10_100))
    assert build_vectors(tmp_path / "vectors", store.now(), plan=Plan(80, "SQ8")).lists == 40
    assert build_vectors(tmp_path / "vectors", store.now(), plan=Plan(81, "SQ8")).lists == 81
    assert build_vectors(tmp_path / "vectors", store.now(), plan=Plan(81, "PQ8x8")).code == "PQ8x8"
    assert build_vectors(tmp_path / "vectors", store.now()).kind == "flat"


def test_recall_is_measured_anew_when_an_index_has_grown(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "vectors"
    assert build_vectors(folder, store.now(), plan=INVERTED).measured == 3500
    store.add(_rows(500, 9), np.arange(10_000, 10_500))
    assert build_vectors(folder, store.now(), plan=INVERTED).measured == 3500
    store.add(_rows(1000, 10), np.arange(20_000, 21_000))
    assert build_vectors(folder, store.now(), plan=INVERTED).measured == 5000


def test_a_moment_before_the_generation_is_searched_as_it_was(store: Store, tmp_path: Path) -> None:
    folder, before = tmp_path / "vectors", store.now()
    ids = before.keys
    store.add(_rows(300, 5), np.arange(10_000, 10_300))
    store.drop(ids[:50])
    build_vectors(folder, store.now(), plan=INVERTED)
    vectors = Vectors(folder, before)
    assert vectors.lag == 300 + 50
    assert sorted(vectors.keys.tolist()) == sorted(ids.tolist())
    assert _recall(vectors, before, allowed=ids) > 0.97
    with pytest.raises(NotFoundError):
        vectors.vectors_of(np.array([10_000], np.int64))


def test_files_may_go_while_a_reader_has_them(store: Store, tmp_path: Path) -> None:
    build_vectors(tmp_path / "vectors", store.now(), plan=INVERTED)
    vectors, shards = Vectors(tmp_path / "vectors", store.now()), store.now()
    keys, expected = shards.keys, shards.rows(shards.positions)
    for path in (tmp_path / "vectors", store.folder):
        shutil.rmtree(path)
    np.testing.assert_array_equal(vectors.vectors_of(keys), expected)
    nearest = keys[(expected @ expected[0]).argmax()]
    assert vectors.search(expected[0], 1)[1].tolist() == [nearest]


def test_without_a_generation_search_is_exact(shards: Shards, tmp_path: Path) -> None:
    vectors = Vectors(tmp_path / "nothing", shards)
    assert _recall(vectors, shards) == 1


def test_a_damaged_generation_is_ignored_and_built_anew(shards: Shards, tmp_path: Path) -> None:
    for name in ("index.faiss", "axes.npy", "keys.npy", "rows.npy", "sorted.npy", "entries.npy"):
        build_vectors(tmp_path, shards, plan=INVERTED)
        (folder,) = tmp_path.iterdir()
        (folder / name).write_bytes(b"IxFI damaged")
        vectors = Vectors(tmp_path, shards)
        assert vectors.generation is None
        assert _recall(vectors, shards) == 1
        build_vectors(tmp_path, shards, plan=INVERTED)
        assert Vectors(tmp_path, shards).lag == 0
    (folder,) = tmp_path.iterdir()
    (folder / "generation.json").write_text("{")
    assert current_generation(tmp_path) is None
    assert needs_build(tmp_path, shards)


@pytest.mark.parametrize("change", ["older", "missing", "unknown", "list"])
def test_a_manifest_of_another_version_is_built_anew(
    shards: Shards, tmp_path: Path, change: str
) -> None:
    built = build_vectors(tmp_path, shards, plan=INVERTED)
    (folder,) = tmp_path.iterdir()
    data: Any = json.loads((folder / "generation.json").read_text())
    if change == "older":
        data = {"changes": 3, "count": 3500, "kind": "ivf236,sq8", "nprobe": 16}
    elif change == "missing":
        del data["rerank"]
    elif change == "unknown":
        data["colour"] = "blue"
    else:
        data = [data]
    (folder / "generation.json").write_text(json.dumps(data))
    assert current_generation(tmp_path) is None
    assert needs_build(tmp_path, shards)
    vectors = Vectors(tmp_path, shards)
    assert vectors.generation is None
    assert _recall(vectors, shards) == 1
    assert replace(build_vectors(tmp_path, shards, plan=INVERTED), p50_ms=0) == replace(
        built, p50_ms=0
    )


def test_newer_generations_replace_older_ones(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "vectors"
    assert not needs_build(folder, Shards(tmp_path, [], None, DIMENSIONS))
    assert needs_build(folder, store.now())
    build_vectors(folder, store.now())
    assert not needs_build(folder, store.now())
    store.drop(store.now().keys[:1])
    assert needs_build(folder, store.now())
    build_vectors(folder, store.now())
    assert [p.name for p in folder.iterdir()] == ["generation-000002"]
    build_vectors(folder, store.now(), plan=INVERTED)
    monkeypatch.setattr(builder, "FRESH_LIMIT", 100)
    store.add(_rows(100, 5), np.arange(10_000, 10_100))
    store.drop(store.now().keys[:100])
    assert not needs_build(folder, store.now()), "a small lag is searched beside it"
    store.add(_rows(1, 6), np.array([20_000], np.int64))
    assert needs_build(folder, store.now())
    build_vectors(folder, store.now(), plan=INVERTED)
    store.drop(store.now().keys[:200])
    assert needs_build(folder, store.now()), "many dead entries"


def test_values_that_differ_from_the_shards_are_noticed(shards: Shards, tmp_path: Path) -> None:
    for name in ("keys", "rows"):
        build_vectors(tmp_path, shards, plan=PLANS["flat"])
        (folder,) = tmp_path.iterdir()
        values = np.load(folder / f"{name}.npy")
        np.save(folder / f"{name}.npy", values[::-1])
        found = list(Vectors(tmp_path, shards).disagreements())
        assert found
        assert all(count > 0 for _, count, _ in found)
        assert "differ" in " ".join(words for _, _, words in found)


def test_threads_share_vectors(stages: dict[str, list[tuple[Vectors, Shards]]]) -> None:
    vectors, shards = stages["lists"][1]
    queries = _queries(shards, 50)
    halves = [np.sort(shards.keys)[::2], None]

    def ask(number: int) -> list[int]:
        found: list[int] = vectors.search(queries[number % 50], 20, keys=halves[number % 2])[
            1
        ].tolist()
        return found

    alone = [ask(number) for number in range(100)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert list(pool.map(ask, range(100))) == alone


def test_a_gpu_chooses_the_lists_where_there_is_one(
    shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = build_vectors(tmp_path / "cpu", shards, plan=INVERTED)
    moved = []

    def to_gpu(_resources: object, _device: int, index: object) -> object:
        moved.append(index)
        return index

    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(faiss, "StandardGpuResources", object)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", to_gpu)
    built = build_vectors(tmp_path / "gpu", shards, plan=INVERTED)
    assert len(moved) == 2
    assert replace(built, p50_ms=0) == replace(expected, p50_ms=0)
    assert _recall(Vectors(tmp_path / "gpu", shards), shards) > 0.97


def test_an_empty_database_finds_nothing(tmp_path: Path) -> None:
    empty = Shards(tmp_path, [], None, DIMENSIONS)
    for _ in range(2):
        vectors = Vectors(tmp_path / "vectors", empty)
        scores, keys = vectors.search(np.ones(DIMENSIONS), 5)
        assert len(scores) == len(keys) == len(vectors.keys) == 0
        build_vectors(tmp_path / "vectors", empty)
