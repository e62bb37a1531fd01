"""Inverted lists: learning where their centres lie, and putting vectors into them.

A vector goes to the list whose centre is nearest to it, while a query looks into those whose centre
has the largest inner product with it. Vectors of unequal length then lie in fewer of the lists that
a query has to look into (a third fewer of those of radiographs) than if both went by products.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.database.vectors.plan import IndexPlan

__all__ = ["ROWS_PER_LIST", "Filler", "principal_axes", "renumber", "train"]

#: Vectors to learn from, for each list.
ROWS_PER_LIST = 40

_SEED = 20260101
_ROUNDS = 10
# Axes may lose this share of the length of vectors; the number of axes is a multiple of 16.
_LOST, _AXES = 0.01, 16
# A codebook of 256 vectors is learned from 64 vectors for each of its own.
_ROWS_PER_CODE = 64

Rows = npt.NDArray[np.float32]


def principal_axes(plan: IndexPlan, sample: Rows) -> Rows:
    """The axes that carry nearly all of the products of vectors, shape (dimensions, n).

    The index holds vectors along these only; what is lost is made good by the shards.
    """
    if plan.code.startswith("PQ"):
        return np.eye(sample.shape[1], dtype=np.float32)
    energies, axes = np.linalg.eigh((sample.T @ sample).astype(np.float64))
    energies, axes = energies[::-1], axes[:, ::-1]
    lost = 1 - np.cumsum(energies) / max(float(energies.sum()), 1e-12)
    count = int(np.argmax(lost <= _LOST)) + 1
    count = min(-(-count // _AXES) * _AXES, sample.shape[1])
    return np.ascontiguousarray(axes[:, :count], np.float32)


def train(plan: IndexPlan, sample: Rows) -> Any:
    """An empty FAISS index of inverted lists whose centres and codes fit `sample`.

    The centres are learned on a GPU where there is one.

    Parameters
    ----------
    sample
        Shape (n, dimensions), with at least as many rows as the plan has lists.
    """
    import faiss

    dimensions = sample.shape[1]
    index: Any = faiss.index_factory(dimensions, plan.factory, faiss.METRIC_INNER_PRODUCT)
    settings = faiss.ClusteringParameters()
    settings.niter, settings.seed = _ROUNDS, _SEED
    settings.min_points_per_centroid = 1
    settings.max_points_per_centroid = -(-len(sample) // plan.lists)
    clustering = faiss.Clustering(dimensions, plan.lists, settings)
    comparer = _comparer(dimensions)
    clustering.train(sample, comparer)
    centres = faiss.vector_to_array(clustering.centroids).reshape(plan.lists, dimensions)
    faiss.downcast_index(index.quantizer).add(centres)
    if plan.code.startswith("PQ"):
        index.pq.cp.max_points_per_centroid = _ROWS_PER_CODE
        index.pq.cp.min_points_per_centroid = 1
        index.pq.cp.niter = _ROUNDS
    # FAISS's own training would choose lists by inner product.
    lists = _lists(comparer, sample)
    rest = sample - centres[lists]
    index.train_encoder(len(rest), faiss.swig_ptr(rest), faiss.swig_ptr(lists))
    index.is_trained = True
    return index


def _comparer(dimensions: int) -> Any:
    """An empty flat index that compares by distance; on the first GPU where there is one."""
    import faiss

    flat = faiss.IndexFlatL2(dimensions)
    if not faiss.get_num_gpus():
        return flat
    return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, flat)


def _lists(comparer: Any, rows: Rows) -> npt.NDArray[np.int64]:
    nearest: npt.NDArray[np.int64] = comparer.search(rows, 1)[1].reshape(-1).astype(np.int64)
    return nearest


class Filler:
    """Puts vectors into the lists of an index that is trained; a GPU chooses the lists if it can.

    Parameters
    ----------
    index
        An inverted file in memory.
    axes
        Its `principal_axes`.
    """

    def __init__(self, index: Any, axes: Rows) -> None:
        import faiss

        self._index = index
        self._axes = axes
        self._comparer = _comparer(index.d)
        self._comparer.add(faiss.downcast_index(index.quantizer).reconstruct_n(0, index.nlist))

    def add(self, rows: Rows, entries: npt.NDArray[np.int64]) -> None:
        """Add vectors, shape (n, dimensions), under these numbers, shape (n,)."""
        import faiss

        rows = rows @ self._axes
        lists = _lists(self._comparer, rows)
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
