from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from indexer.database.embeddings import Shard, Shards, write_shard
from indexer.database.vectors import Vectors, build_vectors, current_generation, needs_build

COUNT, DIMENSIONS = 4000, 24


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    folder = tmp_path_factory.mktemp("embeddings")
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(40, DIMENSIONS))
    rows = centres[rng.integers(0, 40, COUNT)] + 0.3 * rng.normal(size=(COUNT, DIMENSIONS))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    keys = rng.permutation(COUNT).astype(np.int64) - COUNT // 2
    cut = 1500
    found = [
        Shard(1, cut, cut, write_shard(folder, 1, rows[:cut], keys[:cut])),
        Shard(5, COUNT - cut, 2000, write_shard(folder, 5, rows[cut:], keys[cut:])),
    ]
    live = np.sort(rng.permutation(COUNT - cut)[:2000])
    return Shards(folder, found, {5: live}, DIMENSIONS)


def _exact(shards: Shards, query: npt.NDArray[np.float32], k: int) -> list[int]:
    scores = shards.rows(shards.positions) @ query
    order: list[int] = shards.keys[np.argsort(-scores, kind="stable")][:k].tolist()
    return order


def test_positions_keys_and_rows_belong_together(shards: Shards) -> None:
    assert len(shards.positions) == len(set(shards.keys.tolist())) == 3500
    positions = shards.locate(shards.keys)
    assert (positions == shards.positions).all()
    assert (shards.key_at(positions[::7]) == shards.keys[::7]).all()
    assert shards.locate(np.array([10**9], np.int64)).tolist() == [-1]


@pytest.mark.parametrize("limit", [10_000, 100])
def test_recall(shards: Shards, tmp_path: Path, limit: int) -> None:
    built = build_vectors(tmp_path, shards, 3, flat_limit=limit)
    assert built.kind == ("flat" if limit > COUNT else "ivf236,sq8")
    vectors = Vectors(tmp_path, shards, 3)
    assert (vectors.generation, vectors.lag) == (built, 0)
    right = 0
    for query in shards.rows(shards.positions[:100]):
        scores, keys = vectors.search(query, 10)
        assert (np.diff(scores) <= 0).all()
        assert scores[0] == pytest.approx(1, abs=1e-3)
        right += len({*keys.tolist()} & {*_exact(shards, query, 10)})
    assert right / 1000 > (0.999 if limit > COUNT else 0.97)
    assert list(vectors.disagreements()) == []


def test_inverted_lists_never_give_fewer_than_there_are(shards: Shards, tmp_path: Path) -> None:
    build_vectors(tmp_path, shards, 3, flat_limit=100)
    vectors = Vectors(tmp_path, shards, 3)
    query = shards.rows(shards.positions[:1])[0]
    assert len(vectors.search(query, 3000)[1]) == 3000
    # Images far from the query, in lists that it does not look into first.
    far = np.array(_exact(shards, query, len(vectors))[-2500:], np.int64)
    assert len(vectors.search(query, 50, keys=far)[1]) == 50


@pytest.mark.parametrize("limit", [10_000, 100])
def test_a_generation_that_lags_is_completed_and_masked(
    shards: Shards, tmp_path: Path, limit: int
) -> None:
    # Built when only the first shard was there, with some images that are gone since.
    older = Shards(shards._folder, shards._shards[:1], {}, DIMENSIONS)
    build_vectors(tmp_path, older, 3, flat_limit=limit)
    live = {**shards._live, 1: np.arange(100, 1500)}
    now = Shards(shards._folder, shards._shards, live, DIMENSIONS)
    vectors = Vectors(tmp_path, now, 4)
    assert vectors.lag == 100 + 2000
    gone = set(older.keys[:100].tolist())
    for query in shards.rows(shards.positions[::100]):
        scores, keys = vectors.search(query, 20)
        assert not gone & set(keys.tolist())
        assert len(set(keys.tolist())) == len(keys) == 20
        if limit > COUNT:
            assert keys.tolist() == _exact(now, query / np.linalg.norm(query), 20)
        assert scores[0] > 0.5


def test_without_a_generation_search_is_exact(shards: Shards, tmp_path: Path) -> None:
    vectors = Vectors(tmp_path / "nothing", shards, 1)
    query = shards.rows(shards.positions[5:6])[0]
    query /= np.linalg.norm(query)
    assert vectors.search(query, 5)[1].tolist() == _exact(shards, query, 5)


def test_a_damaged_generation_is_ignored(shards: Shards, tmp_path: Path) -> None:
    build_vectors(tmp_path, shards, 1)
    (folder,) = tmp_path.iterdir()
    (folder / "index.faiss").write_bytes(b"IxFI damaged")
    vectors = Vectors(tmp_path, shards, 1)
    assert vectors.generation is None
    assert len(vectors.search(np.ones(DIMENSIONS), 5)[0]) == 5
    (folder / "generation.json").write_text("{")
    assert current_generation(tmp_path) is None


def test_newer_generations_replace_older_ones(shards: Shards, tmp_path: Path) -> None:
    assert not needs_build(tmp_path, 1, 0)
    assert needs_build(tmp_path, 1, 5)
    build_vectors(tmp_path, shards, 1)
    assert not needs_build(tmp_path, 1, 3500)
    assert needs_build(tmp_path, 2, 3500)
    build_vectors(tmp_path, shards, 2)
    assert [p.name for p in tmp_path.iterdir()] == ["generation-000002"]
    shutil.rmtree(tmp_path)
    build_vectors(tmp_path, shards, 1, flat_limit=100)
    assert not needs_build(tmp_path, 2000, 100_000), "a small lag is searched beside it"
    assert needs_build(tmp_path, 9000, 100_000)


def test_values_that_differ_from_the_shards_are_noticed(shards: Shards, tmp_path: Path) -> None:
    build_vectors(tmp_path, shards, 1)
    (folder,) = tmp_path.iterdir()
    keys = np.load(folder / "keys.npy")
    np.save(folder / "keys.npy", keys[::-1])
    vectors = Vectors(tmp_path, shards, 1)
    assert vectors.compare() == 0
    assert "differ" in " ".join(vectors.disagreements())


def test_an_empty_database_finds_nothing(tmp_path: Path) -> None:
    vectors = Vectors(tmp_path, Shards(tmp_path, [], {}, DIMENSIONS), 0)
    scores, keys = vectors.search(np.ones(DIMENSIONS), 5)
    assert len(scores) == len(keys) == 0
