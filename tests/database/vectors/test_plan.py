from __future__ import annotations

import os
from typing import Any

import faiss
import pytest

from indexer.database.vectors.plan import (
    FLAT_LIMIT,
    RECALL,
    RECALL_AMONG_MANY,
    IndexPlan,
    choose_plan,
    memory_for_index,
)
from indexer.errors import DatabaseError

GIB = 1 << 30


@pytest.mark.parametrize(
    ("count", "memory", "kind"),
    [
        (0, GIB, "flat"),
        (FLAT_LIMIT, 0, "flat"),
        (FLAT_LIMIT + 1, GIB, "ivf894,sq8"),
        (1_000_000, GIB, "ivf4000,sq8"),
        (1_000_000, GIB // 5, "ivf4000,pq64x8"),
        (10_000_000, 4 * GIB, "ivf4096,sq8"),
        (10_000_000, 2 * GIB, "ivf4096,pq64x8"),
        (10_000_000, GIB // 2, "ivf4096,pq32x8"),
        (100_000_000, 4 * GIB, "ivf10000_hnsw,pq32x8"),
    ],
)
def test_size_and_memory_choose_the_index(count: int, memory: int, kind: str) -> None:
    plan = choose_plan(count, 256, memory=memory)
    assert plan.kind == kind
    many = RECALL_AMONG_MANY if count > 2_000_000 else RECALL
    assert plan.recall == (1 if kind == "flat" else many)


def test_more_images_never_get_fewer_lists() -> None:
    lists = [choose_plan(10**n // 3, 256).lists for n in range(12)]
    assert lists == sorted(lists)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 7, 16, 24, 100, 256])
@pytest.mark.parametrize("memory", [0, 10 * 60_000, GIB])
def test_faiss_can_make_what_is_planned(dimensions: int, memory: int) -> None:
    plan = choose_plan(60_000, dimensions, memory=memory)
    index: Any = faiss.index_factory(dimensions, plan.factory, faiss.METRIC_INNER_PRODUCT)
    assert (index.d, index.nlist) == (dimensions, plan.lists)
    assert index.metric_type == faiss.METRIC_INNER_PRODUCT


def test_recall_is_asked_for_or_refused() -> None:
    assert choose_plan(10**6, 256, recall=0.9).recall == 0.9
    assert choose_plan(10**6, 256).recall == RECALL
    assert choose_plan(10**7, 256).recall == RECALL_AMONG_MANY
    for recall in (0, -1, 1.01):
        with pytest.raises(DatabaseError, match="above 0 and at most 1"):
            choose_plan(10**6, 256, recall=recall)


def test_a_plan_is_outgrown_by_twice_the_lists_or_another_code() -> None:
    plan = IndexPlan(100, "SQ8")
    assert not plan.outgrows(100, "SQ8")
    assert not plan.outgrows(50, "SQ8")
    assert plan.outgrows(49, "SQ8")
    assert plan.outgrows(100, "PQ64x8")
    assert not plan.outgrows(10_000, "SQ8"), "an index may shrink"


def test_memory_is_a_share_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < memory_for_index() <= 4 * GIB
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2 * GIB // 4096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__, raising=False)
    assert memory_for_index() == GIB // 2

    def unknown(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr(os, "sysconf", unknown, raising=False)
    assert memory_for_index() == 4 * GIB
