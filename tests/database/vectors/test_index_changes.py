"""The vector index: changes, filters, damage."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from indexer.database.vectors import builder
from indexer.database.vectors.builder import build_vectors, lags, needs_build
from indexer.database.vectors.generation import current_generation
from indexer.database.vectors.index import Vectors
from indexer.database.vectors.plan import IndexPlan
from indexer.database.vectors.shards import Shards
from indexer.errors import NotFoundError
from tests.database.vectors.conftest import (
    DIMENSIONS,
    INVERTED,
    PLANS,
    Store,
    _queries,
    _recall,
    _rows,
)


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
        assert lags(folder, store.now().shards)
        assert _recall(Vectors(folder, store.now()), store.now()) > 0.93
        built = build_vectors(folder, store.now(), plan=plan)
        vectors = Vectors(folder, store.now())
        assert built.count == len(store.now())
        assert not lags(folder, store.now().shards)
        assert list(vectors.disagreements()) == []
        assert sorted(vectors.keys.tolist()) == sorted(store.now().keys.tolist())
        assert _recall(vectors, store.now()) > 0.93
    assert len(list(folder.iterdir())) == 1


def test_an_outgrown_index_is_trained_anew(store: Store, tmp_path: Path) -> None:
    build_vectors(tmp_path / "vectors", store.now(), plan=IndexPlan(40, "SQ8"))
    store.add(_rows(100, 9), np.arange(10_000, 10_100))
    assert build_vectors(tmp_path / "vectors", store.now(), plan=IndexPlan(80, "SQ8")).lists == 40
    assert build_vectors(tmp_path / "vectors", store.now(), plan=IndexPlan(81, "SQ8")).lists == 81
    assert (
        build_vectors(tmp_path / "vectors", store.now(), plan=IndexPlan(81, "PQ8x8")).code
        == "PQ8x8"
    )
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
    assert vectors.generation is not None
    assert sorted(vectors.keys.tolist()) == sorted(ids.tolist())
    assert _recall(vectors, before, allowed=ids) > 0.97
    with pytest.raises(NotFoundError):
        vectors.stored_vectors(np.array([10_000], np.int64))


def test_files_may_go_while_a_reader_has_them(store: Store, tmp_path: Path) -> None:
    build_vectors(tmp_path / "vectors", store.now(), plan=INVERTED)
    vectors, shards = Vectors(tmp_path / "vectors", store.now()), store.now()
    keys, expected = shards.keys, shards.rows(shards.positions)
    for path in (tmp_path / "vectors", store.folder):
        shutil.rmtree(path)
    np.testing.assert_array_equal(vectors.stored_vectors(keys), expected)
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
        assert Vectors(tmp_path, shards).generation is not None
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
