"""Building the vector index: anew, or from the last generation and what has come since."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.database.vectors.arrays import load_array
from indexer.database.vectors.clusters import ROWS_PER_LIST, Filler, principal_axes, renumber, train
from indexer.database.vectors.generation import (
    FORMAT,
    Entries,
    Generation,
    current_generation,
    drafted,
    generations,
)
from indexer.database.vectors.plan import IndexPlan, choose_plan
from indexer.database.vectors.shards import Shard, Shards
from indexer.database.vectors.tuning import TrueNeighbours, Tuned, tune

__all__ = ["FRESH_LIMIT", "build_vectors", "lags", "needs_build"]

_log = logging.getLogger(__name__)

#: At most this many new images are searched one by one instead of being put into the index.
FRESH_LIMIT = 10_000
# The index is built anew when this share of its entries is dead. Recall is measured anew when the
# index has grown by this factor.
_DEAD, _GROWN = 0.05, 1.3
_SEED = 20260101

Rows = npt.NDArray[np.float32]


def needs_build(folder: Path, shards: Shards) -> bool:
    """Whether `build_vectors` is worth its time."""
    now = current_generation(folder)
    if now is None:
        return len(shards) > 0
    fresh, dead = now.differs(shards.shards)
    if not now.lists:
        return fresh + dead > 0
    return fresh > FRESH_LIMIT or dead > _DEAD * now.count


def lags(folder: Path, shards: Sequence[Shard]) -> bool:
    """Whether the newest generation holds other images than the shards."""
    now = current_generation(folder)
    return now is None or any(now.differs(shards))


def build_vectors(folder: Path, shards: Shards, *, plan: IndexPlan | None = None) -> Generation:
    """Build the next generation from the live rows of the shards and drop the older ones.

    An inverted file that still serves is taken over: its dead entries are dropped, and what is new
    is added to its lists. It is trained anew only where the plan has outgrown it.

    Parameters
    ----------
    folder
        ``vectors/`` of a database.
    shards
        What to index.
    plan
        Kind of the index; None for the one that `choose_plan` chooses.
    """
    import faiss

    plan = plan or choose_plan(len(shards), shards.dimensions)
    keys, rows = shards.keys, _rows(shards)
    with drafted(folder) as draft:
        older = None
        measured = len(keys)
        tuned = Tuned(0, 1, (1.0, 1.0), 0.0)
        if not plan.lists:
            index, axes = _flat(plan, shards), None
        elif older := _extended(folder, plan, shards):
            generation, index, axes = older
            tuned = Tuned(
                generation.nprobe,
                generation.rerank,
                (generation.recall, generation.recall_100),
                generation.p50_ms,
            )
            measured = generation.measured
            if len(keys) > _GROWN * measured:
                measured = len(keys)
                tuned = tune(index, axes, _truth(shards), shards, plan.recall)
        else:
            index, axes, truth = _trained(plan, shards)
            tuned = tune(index, axes, truth, shards, plan.recall)
        if plan.lists and min(tuned.recalls) < plan.recall:
            _log.warning(
                "the vector index finds %.1f %% of the nearest, not %.1f %%",
                100 * min(tuned.recalls), 100 * plan.recall,
            )  # fmt: skip
        faiss.write_index(index, str(draft / "index.faiss"))
        if axes is not None:
            np.save(draft / "axes.npy", axes, allow_pickle=False)
        Entries.write(draft, keys, rows)
        generation = Generation(
            format=FORMAT,
            count=len(keys),
            kind=plan.kind if not older else older[0].kind,
            lists=index.nlist if plan.lists else 0,
            code=plan.code,
            axes=index.d,
            nprobe=tuned.nprobe,
            rerank=tuned.rerank,
            recall=tuned.recalls[0],
            recall_100=tuned.recalls[1],
            p50_ms=tuned.p50_ms,
            bytes_per_vector=(draft / "index.faiss").stat().st_size / max(len(keys), 1),
            measured=measured,
            shards=tuple((shard.number, shard.live) for shard in shards.shards),
        )
        generation.write(draft)
    return generation


def _rows(shards: Shards) -> npt.NDArray[np.int32]:
    """Of each live position its row in its shard."""
    parts = [shards.live(index).astype(np.int32) for index in range(len(shards.shards))]
    return np.concatenate([np.empty(0, np.int32), *parts])


def _flat(plan: IndexPlan, shards: Shards) -> Any:
    import faiss

    index = faiss.index_factory(shards.dimensions, plan.factory, faiss.METRIC_INNER_PRODUCT)
    for rows in shards.live_chunks():
        index.add(rows)
    return index


def _trained(plan: IndexPlan, shards: Shards) -> tuple[Any, Rows, TrueNeighbours]:
    count = len(shards)
    sample = min(count, ROWS_PER_LIST * plan.lists)
    chosen = np.random.default_rng(_SEED).choice(count, sample, replace=False)
    rows = shards.rows(shards.positions[np.sort(chosen)])
    axes = principal_axes(plan, rows)
    index = train(plan, rows @ axes)
    filler, truth, first = Filler(index, axes), TrueNeighbours(shards), 0
    for rows in shards.live_chunks():
        filler.add(rows, np.arange(first, first + len(rows), dtype=np.int64))
        truth.see(rows, first)
        first += len(rows)
    return index, axes, truth


def _truth(shards: Shards) -> TrueNeighbours:
    truth, first = TrueNeighbours(shards), 0
    for rows in shards.live_chunks():
        truth.see(rows, first)
        first += len(rows)
    return truth


def _extended(folder: Path, plan: IndexPlan, shards: Shards) -> tuple[Generation, Any, Rows] | None:
    """The newest generation, its inverted file with the live rows as entries, and its axes.

    None where there is none that serves the plan.
    """
    import faiss

    for path in generations(folder):
        try:
            generation = Generation.read(path)
            if not generation.lists or plan.outgrows(generation.lists, generation.code):
                return None
            entries = Entries(path, generation)
            index = faiss.read_index(str(path / "index.faiss"))
            axes = load_array(path / "axes.npy", None, "f", mapped=False)
        except (OSError, ValueError, TypeError, RuntimeError):
            _log.warning("a vector index cannot be read and is built anew")
            continue
        if index.ntotal != len(entries) or axes.shape != (shards.dimensions, index.d):
            continue
        before = entries.find(shards.keys)
        known = before >= 0
        numbers = np.full(len(entries), -1, np.int64)
        numbers[before[known]] = np.flatnonzero(known)
        renumber(index, numbers)
        new = np.flatnonzero(~known)
        filler = Filler(index, axes)
        for part, rows in shards.chunks(shards.positions[new]):
            filler.add(rows, new[part])
        return generation, index, axes
    return None
