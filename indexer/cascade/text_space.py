"""Where pictures lie among sentences, computed without loading the cascade."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indexer.cascade.bundle import Bundle
from indexer.errors import BundleError

__all__ = ["TextSpace"]


@dataclass(frozen=True, slots=True)
class TextSpace:
    """A bundle's map from embeddings to the vectors of `indexer.cascade.sentences`.

    The same map as `Runtime.text_space`, for searches: no network is built for it.

    Parameters
    ----------
    weight
        Shape (384, dimensions), already scaled for embeddings of unit length.
    bias
        Shape (384,).
    """

    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]

    @classmethod
    def of(cls, bundle: Bundle) -> TextSpace:
        """The text space of a bundle.

        Raises
        ------
        BundleError
            The bundle was trained without sentences.
        """
        if not bundle.has_text_space:
            raise BundleError(f"the bundle {bundle.path} knows no sentences: train one with text")
        weights = bundle.weights()
        weight = weights["encoder.sentence.weight"].astype(np.float32)
        bias = weights["encoder.sentence.bias"].astype(np.float32)
        return cls(weight * np.float32(bundle.dimensions**0.5), bias)

    def place(self, embeddings: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Unit vectors of shape (n, 384): the places of embeddings of shape (n, dimensions)."""
        places = embeddings.astype(np.float32) @ self.weight.T + self.bias
        length = np.linalg.norm(places, axis=1, keepdims=True)
        placed: npt.NDArray[np.float32] = places / np.maximum(length, 1e-12)
        return placed

    def direction(self, sentence: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """The way to a sentence among embeddings, shape (dimensions,).

        An embedding's inner product with it is that of its place with `sentence`, but for a
        constant and for the place's length, so that what a vector index finds by it are candidates.
        """
        found: npt.NDArray[np.float32] = sentence.astype(np.float32) @ self.weight
        return found
