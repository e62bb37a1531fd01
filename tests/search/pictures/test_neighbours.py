from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.database.vectors.builder import build_vectors
from indexer.database.vectors.index import Vectors
from indexer.database.vectors.plan import IndexPlan, choose_plan
from indexer.database.vectors.shards import Shard, Shards, id_from_key, vector_keys, write_shard
from search.language.fields import Vocabulary
from search.language.filters import parse_filters
from search.pictures.neighbours import nearest, nearest_groups
from search.stores.faiss import FaissVectors
from search.stores.tantivy.backend import EmbeddedBackend
from search.stores.vectors import EVERYTHING, Bounds, Choice
from tests.search.corpus import random_documents

COUNT, DIMENSIONS = 600, 16
IDS = [document["id"] for document in random_documents(COUNT)]
ROWS = np.random.default_rng(0).normal(size=(COUNT, DIMENSIONS)).astype(np.float32)
ROWS /= np.linalg.norm(ROWS, axis=1, keepdims=True)
ROWS = ROWS.astype(np.float16).astype(np.float32)
STUDIES = {image: f"study {number // 5}" for number, image in enumerate(IDS)}


class _Keys(Choice):
    """A choice whose images are known."""

    def __init__(self, keys: npt.NDArray[np.int64]) -> None:
        self.keys = keys


def _vectors(folder: Path, plan: IndexPlan) -> FaissVectors:
    checksum = write_shard(folder, 1, ROWS, vector_keys(IDS))
    shards = Shards(folder, [Shard(1, COUNT, COUNT, checksum)], None, DIMENSIONS)
    build_vectors(folder / "vectors", shards, plan=plan)
    return FaissVectors(Vectors(folder / "vectors", shards))


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> FaissVectors:
    return _vectors(tmp_path_factory.mktemp("flat"), choose_plan(COUNT, DIMENSIONS))


@pytest.fixture(scope="module")
def inverted(tmp_path_factory: pytest.TempPathFactory) -> FaissVectors:
    return _vectors(tmp_path_factory.mktemp("inverted"), IndexPlan(90, "SQ8"))


def _brute_force(
    query: npt.NDArray[np.float32], k: int, allowed: Sequence[str]
) -> list[tuple[str, float]]:
    cosines = ROWS @ (query / np.linalg.norm(query))
    chosen = set(allowed)
    ranked = sorted((-c, i) for c, i in zip(cosines.tolist(), IDS, strict=True) if i in chosen)
    return [(image, -negative) for negative, image in ranked[:k]]


def _agree(found: list[tuple[str, float]], expected: list[tuple[str, float]]) -> None:
    assert [image for image, _ in found] == [image for image, _ in expected]
    assert [s for _, s in found] == pytest.approx([s for _, s in expected], abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    k=st.integers(1, 30),
    share=st.sampled_from([0.0, 0.002, 0.02, 0.3, 0.9, 1.0]),
    without=st.integers(0, 20),
)
def test_filters_of_every_selectivity(
    vectors: FaissVectors, seed: int, k: int, share: float, without: int
) -> None:
    rng = np.random.default_rng(seed)
    query = rng.normal(size=DIMENSIONS).astype(np.float32)
    allowed = [image for image in IDS if rng.random() < share]
    excluded = [str(image) for image in rng.choice(IDS, without, replace=False)]
    barred = vector_keys(excluded)
    found = nearest(vectors, query, k, Bounds(_Keys(vector_keys(allowed)), barred))
    _agree(found, _brute_force(query, k, sorted({*allowed} - {*excluded})))
    unfiltered = nearest(vectors, query, k, Bounds(None, barred))
    _agree(unfiltered, _brute_force(query, k, sorted({*IDS} - {*excluded})))


@pytest.mark.parametrize("share", [0.01, 0.2, 0.8])
def test_an_approximate_index_finds_only_what_may_be_found(
    inverted: FaissVectors, share: float
) -> None:
    rng = np.random.default_rng(int(share * 100))
    allowed = [image for image in IDS if rng.random() < share]
    excluded = allowed[::3]
    for query in ROWS[:20]:
        bounds = Bounds(_Keys(vector_keys(allowed)), vector_keys(excluded))
        found = nearest(inverted, query, 5, bounds)
        truth = dict(_brute_force(query, COUNT, allowed))
        assert {image for image, _ in found} <= {*allowed} - {*excluded}
        assert [s for _, s in found] == pytest.approx([truth[i] for i, _ in found], abs=1e-4)
        assert sorted(found, key=lambda hit: -hit[1]) == found


@pytest.mark.parametrize(
    "filters",
    [
        ["disease:opacity"],
        ["-disease:opacity", "sex:M"],
        ["disease:opacity", "origin:human", "age:>60"],
        ['disease:normal,"tube, inserted"', "view:lateral"],
        ["report:*"],
        ["severity:borderline"],
    ],
)
def test_filters_of_words(
    vectors: FaissVectors, backend: EmbeddedBackend, filters: list[str]
) -> None:
    vocabulary = Vocabulary({"disease": backend.values("disease")})
    choice = Choice(parse_filters(filters, vocabulary), backend)
    allowed = [id_from_key(key) for key in choice.keys.tolist()]
    assert {*allowed} <= {*IDS}
    for query in ROWS[:5]:
        found = nearest(vectors, query, 25, Bounds(choice))
        _agree(found, _brute_force(query, 25, allowed))


@pytest.mark.parametrize("k", [1, 7, 100, 119, 120, 500])
def test_groups(vectors: FaissVectors, k: int) -> None:
    asked: list[str] = []

    def own_study(images: Sequence[str]) -> dict[str, str]:
        asked.extend(images)
        return {image: STUDIES[image] for image in images}

    def look(bounds: Bounds = EVERYTHING) -> Callable[[int], list[str]]:
        return lambda wanted: [image for image, _ in nearest(vectors, ROWS[3], wanted, bounds)]

    found = nearest_groups(look(), k, own_study, COUNT)
    ranked = [image for image, _ in _brute_force(ROWS[3], COUNT, IDS)]
    assert found == ranked[: len(found)]
    assert len({STUDIES[image] for image in found}) >= min(k, COUNT // 5)
    assert len(asked) == len(set(asked))
    only = vector_keys(IDS[:12])
    two = nearest_groups(look(Bounds(_Keys(only), only[:5])), k, own_study, COUNT)
    assert {STUDIES[image] for image in two} <= {"study 1", "study 2"}
    assert len({STUDIES[image] for image in two}) >= min(k, 2)
    assert len(nearest_groups(look(), 1, own_study, COUNT, at_least=50)) == 50
