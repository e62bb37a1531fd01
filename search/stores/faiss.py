"""Vectors in the database's folder, which FAISS finds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from indexer.database.vectors.index import Vectors
from search.stores.vectors import EVERYTHING, Bounds, Choice, Found, Keys

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

    def search(self, query: npt.NDArray[np.floating], k: int, bounds: Bounds = EVERYTHING) -> Found:
        """The `k` most similar images, best first."""
        keys = None if bounds.choice is None else bounds.choice.keys
        return self._vectors.search(query, k, keys=keys, excluded=bounds.barred)

    def rank(self, query: npt.NDArray[np.floating], k: int, keys: Keys) -> Found:
        """As `search`, of some images."""
        return self._vectors.search(query, k, keys=keys)

    def allowed(self, keys: Keys, choice: Choice) -> npt.NDArray[np.bool_]:
        """Which of some images are of a choice."""
        return np.isin(keys, choice.keys)

    def count(self, bounds: Bounds) -> int:
        """How many images may be found."""
        every = self.keys if bounds.choice is None else bounds.choice.keys
        return len(every) - int(np.isin(bounds.barred, every).sum())
