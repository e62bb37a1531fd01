"""Which kind of vector index a database of some size gets, and when it has outgrown one."""

from __future__ import annotations

import os
from dataclasses import dataclass

from indexer.errors import DatabaseError

__all__ = [
    "FLAT_LIMIT",
    "RECALL",
    "RECALL_AMONG_MANY",
    "IndexPlan",
    "choose_plan",
    "memory_for_index",
]

#: Databases of at most this many images compare the query with every image.
FLAT_LIMIT = 50_000
#: Share of the true nearest neighbours that a search is to find. The second is for indexes of many
#: images, where finding the last few would take most of the time.
RECALL, RECALL_AMONG_MANY = 0.99, 0.96

_MANY = 2_000_000

_MAX_MEMORY = 4 << 30
# At most this many lists, unless the root of the number of images is larger: to fill them costs a
# comparison for each vector and list.
_MANY_LISTS = 4096
# With more lists than this, a graph finds the nearest lists faster than comparing with all.
_GRAPH_LISTS = 8192
_ID_BYTES = 8
# The lists are learned anew only when the plan wants more than this many times as many.
_MAX_GROWTH = 2


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """A kind of index.

    Parameters
    ----------
    lists
        Inverted lists; 0 for a flat index, which is exact.
    code
        How FAISS keeps a vector: ``"SQfp16"``, ``"SQ8"`` or ``"PQ<parts>x8"``.
    graph
        Find the nearest lists by an HNSW graph.
    recall
        Share of the true neighbours that is to be found.
    """

    lists: int
    code: str
    graph: bool = False
    recall: float = RECALL

    @property
    def kind(self) -> str:
        """A short name, as ``"ivf4000,sq8"``."""
        if not self.lists:
            return "flat"
        return f"ivf{self.lists}{'_hnsw' if self.graph else ''},{self.code.lower()}"

    @property
    def factory(self) -> str:
        """The factory string from which FAISS makes the index."""
        if not self.lists:
            return self.code
        # "np": without an order of codes that only a search without tables would use.
        code = f"{self.code}np" if self.code.startswith("PQ") else self.code
        return f"IVF{self.lists}{'_HNSW32' if self.graph else ''},{code}"

    def outgrows(self, lists: int, code: str) -> bool:
        """Whether an index of these lists and codes is too small for what this plans."""
        return code != self.code or self.lists > _MAX_GROWTH * lists


def memory_for_index() -> int:
    """Bytes a vector index may take here: a quarter of the machine's memory, at most 4 GiB."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return _MAX_MEMORY  # the system does not tell
    return min(machine // 4, _MAX_MEMORY)


def choose_plan(
    count: int,
    dimensions: int,
    *,
    memory: int | None = None,
    recall: float | None = None,
    flat_limit: int = FLAT_LIMIT,
) -> IndexPlan:
    """The index for `count` vectors: exact if they are few, else as precise as memory allows.

    Parameters
    ----------
    count, dimensions
        Of the vectors.
    memory
        Bytes it may take; None for `memory_for_index`.
    recall
        Share of the true neighbours that is to be found, above 0 and at most 1; None for what suits
        the number of vectors.
    flat_limit
        Up to so many vectors it is exact.

    Raises
    ------
    DatabaseError
        `recall` is no such share.
    """
    if recall is None:
        recall = RECALL_AMONG_MANY if count > _MANY else RECALL
    if not 0 < recall <= 1:
        raise DatabaseError(f"a recall of {recall} is asked for: it is above 0 and at most 1")
    if count <= flat_limit:
        return IndexPlan(0, "SQfp16", recall=1.0)
    memory = memory_for_index() if memory is None else memory
    root = count**0.5
    lists = max(1, min(int(4 * root), _MANY_LISTS), int(root))
    # Product quantisation wants parts of equal length.
    fine, coarse = (
        max(n for n in range(1, max(dimensions // part, 1) + 1) if dimensions % n == 0)
        for part in (4, 8)
    )
    for code, size in (("SQ8", dimensions), (f"PQ{fine}x8", fine)):
        if count * (size + _ID_BYTES) <= memory:
            return IndexPlan(lists, code, lists > _GRAPH_LISTS, recall)
    return IndexPlan(lists, f"PQ{coarse}x8", lists > _GRAPH_LISTS, recall)
