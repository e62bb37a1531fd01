"""Nearest neighbours: what the vector store is asked, and how its answers are grouped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from indexer.database.vectors.shards import id_from_key
from search.stores.vectors import EVERYTHING, Bounds, VectorStore

__all__ = ["nearest", "nearest_groups"]

# First ask for this many hits per group: most studies have two or three images.
_OVER_FETCH = 4


def nearest(
    vectors: VectorStore,
    query: npt.NDArray[np.floating],
    k: int,
    bounds: Bounds = EVERYTHING,
) -> list[tuple[str, float]]:
    """Ids and cosines of the `k` nearest images, best first.

    Parameters
    ----------
    vectors
        Where to look.
    query
        Shape (dimensions,).
    bounds
        Which images may be found.
    """
    scores, found = vectors.search(query, k, bounds)
    return [(id_from_key(key), float(s)) for key, s in zip(found.tolist(), scores, strict=True)]


def nearest_groups(
    search: Callable[[int], list[str]],
    k: int,
    group_of: Callable[[Sequence[str]], Mapping[str, str]],
    count: int,
    *,
    at_least: int = 0,
) -> list[str]:
    """The nearest images, nearest first, until they are of `k` groups.

    Asks for more and more images until there are `k` groups, or no images left.

    Parameters
    ----------
    search
        Gives as many of the nearest images as are wanted.
    group_of
        Gives the group of each of some ids.
    count
        How many images there are.
    at_least
        Images to ask for, however few groups are wanted.
    """
    wanted = min(max(_OVER_FETCH * k, at_least), count)
    groups: dict[str, str] = {}
    while True:
        found = search(wanted)
        groups.update(group_of([image for image in found if image not in groups]))
        enough = len({*groups.values()}) >= k
        if enough or len(found) < wanted or wanted >= count:
            return found
        wanted = min(_OVER_FETCH * wanted, count)
