"""Inverted lists: learning where their centres lie, and putting vectors into them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.database.plan import Plan

__all__ = ["ROWS_PER_LIST", "Filler", "renumber", "train"]

#: Vectors to learn from, for each list.
ROWS_PER_LIST = 40

_SEED = 20260101
_ROUNDS = 10
# A codebook of 256 vectors is learned from so many times as many.
_ROWS_PER_CODE = 64
# Centres that a graph compares to find the one a vector belongs to.
_GRAPH_BREADTH = 64

Rows = npt.NDArray[np.float32]


def train(plan: Plan, sample: Rows) -> Any:
    """An empty FAISS index of inverted lists whose centres and codes fit `sample`.

    The centres are learned on a GPU where there is one.

    Parameters
    ----------
    sample
        Shape (n, dimensions), with at least as many rows as the plan has lists.
    """
    import faiss

    dimensions = sample.shape[1]
    index = faiss.index_factory(dimensions, plan.factory, faiss.METRIC_INNER_PRODUCT)
    settings = faiss.ClusteringParameters()
    settings.niter, settings.seed, settings.spherical = _ROUNDS, _SEED, True
    settings.min_points_per_centroid = 1
    settings.max_points_per_centroid = -(-len(sample) // plan.lists)
    clustering = faiss.Clustering(dimensions, plan.lists, settings)
    clustering.train(sample, _comparer(dimensions))
    centres = faiss.vector_to_array(clustering.centroids).reshape(plan.lists, dimensions)
    quantizer = faiss.downcast_index(index.quantizer)
    quantizer.add(centres)
    if plan.code.startswith("PQ"):
        index.pq.cp.max_points_per_centroid = _ROWS_PER_CODE
        index.pq.cp.min_points_per_centroid = 1
        index.pq.cp.niter = _ROUNDS
    index.train(sample)  # only codes are left to be learned
    return index


def _comparer(dimensions: int) -> Any:
    """An empty flat index; on the first GPU where there is one."""
    import faiss

    flat = faiss.IndexFlatIP(dimensions)
    if not faiss.get_num_gpus():
        return flat
    return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, flat)


class Filler:
    """Puts vectors into the lists of an index that is trained; the GPU chooses the lists.

    Parameters
    ----------
    index
        An inverted file in memory.
    """

    def __init__(self, index: Any) -> None:
        import faiss

        self._index = index
        self._quantizer: Any = faiss.downcast_index(index.quantizer)
        if hasattr(self._quantizer, "hnsw"):
            self._quantizer.hnsw.efSearch = max(self._quantizer.hnsw.efSearch, _GRAPH_BREADTH)
        if faiss.get_num_gpus():
            centres = self._quantizer.reconstruct_n(0, index.nlist)
            self._quantizer = _comparer(index.d)
            self._quantizer.add(centres)

    def add(self, rows: Rows, entries: npt.NDArray[np.int64]) -> None:
        """Add vectors, shape (n, dimensions), under these numbers, shape (n,)."""
        import faiss

        lists = self._quantizer.search(rows, 1)[1].reshape(-1).astype(np.int64)
        pointers = (faiss.swig_ptr(array) for array in (rows, entries, lists))
        self._index.add_core(len(rows), *pointers)


def renumber(index: Any, numbers: npt.NDArray[np.int64]) -> None:
    """Give the entries of an inverted file in memory new numbers; drop those whose new one is -1.

    Parameters
    ----------
    numbers
        The new number of each entry, shape (index.ntotal,).
    """
    import faiss

    lists, total = index.invlists, 0
    for number in range(index.nlist):
        size = lists.list_size(number)
        if not size:
            continue
        entries = faiss.rev_swig_ptr(lists.get_ids(number), size)
        codes = faiss.rev_swig_ptr(lists.get_codes(number), size * lists.code_size)
        codes = codes.reshape(size, lists.code_size)
        new = numbers[entries]
        kept = new >= 0
        count = int(kept.sum())
        codes[:count], entries[:count] = codes[kept], new[kept]
        lists.resize(number, count)
        total += count
    index.ntotal = total
