"""How far a search has to look: measured against exact search for vectors of the index itself."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.database.vectors.shards import Shards

__all__ = ["TrueNeighbours", "Tuned", "search_parameters", "tune"]

#: Recall is measured over the first 10 and over the first 100 hits.
DEPTHS = (10, 100)
_QUERIES = 400
_SEED = 20260102
_RERANK = (1, 2, 3, 4, 6, 8, 12, 16)
_TIMED_QUERIES = 100
# The number of lists to probe is determined to a sixteenth of its size.
_PRECISION = 16

Rows = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tuned:
    """The cheapest search that reaches a recall, and what it reaches.

    Parameters
    ----------
    nprobe, rerank
        Lists to look into, and candidates per hit wanted.
    recalls
        At each of `DEPTHS`.
    p50_ms
        Median milliseconds of a query.
    """

    nprobe: int
    rerank: int
    recalls: tuple[float, float]
    p50_ms: float


class TrueNeighbours:
    """Exact neighbours of some vectors among all, found while these pass by.

    A query is one of the vectors, which is left out of its own neighbours.

    Parameters
    ----------
    shards
        Where they are; entry n is the vector at its n-th live position.
    """

    def __init__(self, shards: Shards) -> None:
        count = len(shards)
        chosen = np.random.default_rng(_SEED).choice(count, min(_QUERIES, count), replace=False)
        self.own: Numbers = np.sort(chosen).astype(np.int64)
        self.queries: Rows = shards.rows(shards.positions[self.own])
        self._scores = np.empty((len(self.own), 0), np.float32)
        self._entries = np.empty((len(self.own), 0), np.int64)

    def see(self, rows: Rows, first: int) -> None:
        """Compare the queries with the vectors of the entries from `first` on."""
        import faiss

        depth = max(DEPTHS) + 1
        scores, entries = faiss.knn(
            self.queries, rows, min(depth, len(rows)), metric=faiss.METRIC_INNER_PRODUCT
        )
        scores = np.concatenate([self._scores, scores], axis=1)
        entries = np.concatenate([self._entries, entries + first], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
        self._scores = np.take_along_axis(scores, best, axis=1)
        self._entries = np.take_along_axis(entries, best, axis=1)

    def neighbours(self) -> list[Numbers]:
        """The nearest entries of each query, up to the larger of `DEPTHS`, best first."""
        return without(self._entries, self.own, max(DEPTHS))


def without(entries: Numbers, own: Numbers, depth: int) -> list[Numbers]:
    """The first `depth` entries of each row that there are and that are not the row's own."""
    return [
        row[(row != number) & (row >= 0)][:depth] for row, number in zip(entries, own, strict=True)
    ]


def search_parameters(index: Any, nprobe: int, selector: Any = None) -> Any:
    """What one search asks for; nothing is ever set on the index that others share."""
    import faiss

    if not nprobe:
        return faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
    inner = None
    if isinstance(faiss.downcast_index(index.quantizer), faiss.IndexHNSW):
        breadth = max(64, 2 * nprobe)
        inner = faiss.SearchParametersHNSW(efSearch=breadth)  # type: ignore[attr-defined]
    return faiss.SearchParametersIVF(  # type: ignore[call-arg]
        sel=selector, nprobe=nprobe, quantizer_params=inner
    )


def tune(index: Any, axes: Rows, truth: TrueNeighbours, shards: Shards, recall: float) -> Tuned:
    """Find the fewest lists, then the fewest candidates, that reach `recall` at both depths.

    It counts as reached where two standard errors are to spare; where nothing reaches it, all
    lists are looked into.

    Parameters
    ----------
    index, axes
        An inverted file, and the axes along which it holds vectors.
    truth
        Of all its vectors.
    shards
        Those vectors.
    """
    neighbours = truth.neighbours()
    deepest = max(len(row) for row in neighbours)
    queries = truth.queries @ axes
    fetched = min(_RERANK[-1] * deepest + 1, index.ntotal)

    def measured(nprobe: int) -> tuple[int | None, dict[int, list[tuple[float, float]]]]:
        entries = index.search(queries, fetched, params=search_parameters(index, nprobe))[1]
        ranks = _ranks(without(entries, truth.own, fetched), neighbours)
        reached = {r: [_recall(ranks, depth, r) for depth in DEPTHS] for r in _RERANK}
        enough = [r for r in _RERANK if all(m - 2 * e >= recall for m, e in reached[r])]
        return (enough[0] if enough else None), reached

    nprobe, low = 1, 0
    rerank, reached = measured(nprobe)
    while rerank is None and nprobe < index.nlist:
        low, nprobe = nprobe, min(2 * nprobe, index.nlist)
        rerank, reached = measured(nprobe)
    while rerank is not None and nprobe - low > max(1, nprobe // _PRECISION):
        middle = (low + nprobe) // 2
        found = measured(middle)
        if found[0] is None:
            low = middle
        else:
            nprobe, rerank, reached = middle, *found
    rerank = rerank or _RERANK[-1]
    ten, hundred = (mean for mean, _ in reached[rerank])
    return Tuned(
        nprobe, rerank, (ten, hundred), _median_ms(index, axes, truth, shards, nprobe, rerank)
    )


def _ranks(found: list[Numbers], neighbours: list[Numbers]) -> list[Numbers]:
    """Of each true neighbour its place among what was found; beyond the end where it is not."""
    ranks = []
    for hits, true in zip(found, neighbours, strict=True):
        order = np.argsort(hits)
        places = np.searchsorted(hits, true, sorter=order)
        place = order[np.minimum(places, len(hits) - 1)] if len(hits) else places
        missing = hits[place] != true if len(hits) else np.ones(len(true), np.bool_)
        ranks.append(np.where(missing, np.iinfo(np.int64).max, place))
    return ranks


def _recall(ranks: list[Numbers], depth: int, rerank: int) -> tuple[float, float]:
    """Mean share of the true neighbours among the candidates, and its standard error."""
    shares = np.array([(r[:depth] < depth * rerank).mean() if len(r) else 1.0 for r in ranks])
    return float(shares.mean()), float(shares.std() / len(shares) ** 0.5)


def _median_ms(
    index: Any, axes: Rows, truth: TrueNeighbours, shards: Shards, nprobe: int, rerank: int
) -> float:
    parameters = search_parameters(index, nprobe)
    wanted = min(rerank * DEPTHS[0], index.ntotal)
    times = []
    for query in truth.queries[:_TIMED_QUERIES]:
        started = time.perf_counter()
        entries = index.search(query[None] @ axes, wanted, params=parameters)[1][0]
        scores = shards.rows(shards.positions[entries[entries >= 0]]) @ query
        np.argsort(-scores)
        times.append(time.perf_counter() - started)
    return round(1e3 * float(np.median(times)), 3)
