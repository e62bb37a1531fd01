"""Vectors in the database's folder, which FAISS finds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from indexer.database.vectors.index import Vectors
from search.stores.vectors import EVERYTHING, Bounds, Keys, Neighbours

__all__ = ["FaissVectors"]


class FaissVectors:
    """`Vectors` as a `search.stores.vectors.VectorStore`; choices come as keys from the text store.

    Parameters
    ----------
    vectors
        Of one moment.
    """

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def keys(self) -> Keys:
        """Keys of all images."""
        return self._vectors.keys

    def stored_vectors(self, keys: Keys) -> npt.NDArray[np.float32]:
        """Vectors of images by key."""
        return self._vectors.stored_vectors(keys)

    def search(
        self, query: npt.NDArray[np.floating], k: int, bounds: Bounds = EVERYTHING
    ) -> Neighbours:
        """The `k` most similar images, best first."""
        keys = None if bounds.choice is None else bounds.choice.keys
        return self._vectors.search(query, k, keys=keys, excluded=bounds.barred)

    def rank(self, query: npt.NDArray[np.floating], k: int, keys: Keys) -> Neighbours:
        """As `search`, of some images."""
        return self._vectors.search(query, k, keys=keys)

    def allowed(self, keys: Keys, bounds: Bounds) -> npt.NDArray[np.bool_]:
        """Which of some images are of the choice, if there is one."""
        if bounds.choice is None:
            return np.ones(len(keys), np.bool_)
        return _stand_in(bounds.choice.keys, keys)

    def count(self, bounds: Bounds) -> int:
        """How many images may be found."""
        if bounds.choice is None:
            return len(self) - int(self._vectors.held(bounds.barred).sum())
        return len(bounds.choice.keys) - int(_stand_in(bounds.choice.keys, bounds.barred).sum())


def _stand_in(table: Keys, keys: Keys) -> npt.NDArray[np.bool_]:
    """Which of a few keys stand in an ascending table."""
    if not len(table):
        return np.zeros(len(keys), np.bool_)
    places = np.minimum(np.searchsorted(table, keys), len(table) - 1)
    found: npt.NDArray[np.bool_] = table[places] == keys
    return found
