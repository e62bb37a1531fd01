"""Where pictures lie among sentences, computed without loading the cascade."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indexer.cascade.bundle import Bundle
from indexer.cascade.bundle_checks import fitting
from indexer.errors import BundleError

__all__ = ["COMMON", "TextSpace"]

#: The tensor of a bundle that holds `TextSpace.common`.
COMMON = "texts.common"


@dataclass(frozen=True, slots=True)
class TextSpace:
    """A bundle's map from embeddings to the vectors of `indexer.words.sentences`.

    The same map as `indexer.cascade.networks.encoder.Encoder.place`: no network is built for it.

    Parameters
    ----------
    weight
        Shape (384, dimensions), for search vectors as they are stored.
    bias
        Shape (384,).
    common
        Shape (384,): the mean of the texts it was learnt from, which is taken from every text, and
        so from every picture how well it fits all of them: one that is near everything is an
        answer to nothing. Zeros in bundles without.
    """

    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    common: npt.NDArray[np.float32]

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
        with fitting(bundle.path):
            weight = weights["encoder.sentence.weight"].astype(np.float32)
            bias = weights["encoder.sentence.bias"].astype(np.float32)
            common = weights.get(COMMON, np.zeros_like(bias)).astype(np.float32)
            if common.shape != bias.shape:
                raise ValueError(f"{COMMON} has the shape {common.shape}, not {bias.shape}")
        return cls(weight * np.float32(bundle.dimensions**0.5), bias, common)

    def likeness(
        self, vectors: npt.NDArray[np.floating], embeddings: npt.NDArray[np.floating]
    ) -> npt.NDArray[np.float32]:
        """How well texts, (n, 384) from the sentence model, fit search vectors, (m, dimensions):
        shape (n, m)."""
        texts = (vectors - self.common).astype(np.float32)
        fit: npt.NDArray[np.float32] = texts @ self.place(embeddings).T
        return fit

    def direction(
        self, sentence: npt.NDArray[np.floating]
    ) -> tuple[npt.NDArray[np.float32], float]:
        """The way to a sentence among search vectors.

        Returns
        -------
        direction, constant
            Shape (dimensions,), and a number: the inner product of a search vector with the one,
            plus the other, is how well `sentence` fits it.
        """
        vector = (sentence - self.common).astype(np.float32)
        return vector @ self.weight, float(vector @ self.bias)

    def place(self, embeddings: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """The places of search vectors, shape (n, dimensions), among sentences: (n, 384)."""
        return embeddings.astype(np.float32) @ self.weight.T + self.bias
