from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.database.vectors import index as module
from indexer.database.vectors.builder import build_vectors, lags
from indexer.database.vectors.generation import current_generation
from indexer.database.vectors.index import Vectors
from indexer.database.vectors.shards import Shards
from tests.database.vectors.conftest import (
    COUNT,
    INVERTED,
    PLANS,
    _exact,
    _queries,
    _recall,
)


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
    assert vectors.generation == built
    assert not lags(tmp_path, shards.shards)
    assert _recall(vectors, shards) >= (1 if name == "flat" else plan.recall - 0.02)
    assert min(built.recall, built.recall_100) >= plan.recall
    assert list(vectors.disagreements()) == []


def test_few_images_are_all_compared_without_an_index(shards: Shards, tmp_path: Path) -> None:
    build_vectors(tmp_path, shards, plan=INVERTED)
    few, many = (Vectors(tmp_path, shards, few=count) for count in (3500, 3499))
    assert (few.generation is None, many.generation is None) == (True, False)
    for query in _queries(shards, 5):
        assert few.search(query, 3500)[1].tolist() == _exact(shards, query, 3500)


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


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    at=st.tuples(st.sampled_from(["flat", "lists"]), st.integers(0, 4)),
    seed=st.integers(0, 10_000),
    k=st.integers(1, 40),
    some=st.tuples(st.sampled_from([0.0, 0.0005, 0.01, 0.1, 0.4, 0.9, 1.0]), st.integers(0, 30)),
    limit=st.sampled_from([0, 100, 10_000]),
)
def test_filters_of_every_selectivity_at_every_moment(
    stages: dict[str, list[tuple[Vectors, Shards]]],
    monkeypatch: pytest.MonkeyPatch,
    at: tuple[str, int],
    seed: int,
    k: int,
    some: tuple[float, int],
    limit: int,
) -> None:
    (kind, moment), (share, without) = at, some
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
        rows = vectors.stored_vectors(found)
        np.testing.assert_allclose(scores, rows @ (query / np.linalg.norm(query)), atol=1e-5)
        missed = {*expected} - {*found.tolist()}
        assert len(missed) <= (0 if kind == "flat" else max(1, 0.1 * k))
