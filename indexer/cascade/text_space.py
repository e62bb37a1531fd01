"""Where pictures lie among sentences, computed without loading the cascade."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.cascade.bundle import Bundle
from indexer.cascade.bundle_checks import check_shapes, fitting
from indexer.errors import BundleError

__all__ = ["COMMON", "TEXT_MAP", "TextMap", "TextSpace"]

#: The tensor of a bundle that holds `TextSpace.common`.
COMMON = "texts.common"
#: Prefix of the names of the tensors of `TextSpace.text_map`.
TEXT_MAP = "texts.map."

# The map of the pictures, which the encoder has as well.
_WEIGHT, _BIAS = "encoder.sentence.weight", "encoder.sentence.bias"

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TextMap:
    """What texts that are looked for in pictures are moved by, as the sentence model is of general
    English; learnt by `indexer.training.towers`.

    Parameters
    ----------
    hidden, hidden_bias, output
        Shapes (h, 384), (h,), (384, h): a network of one layer, whose answer is added to a text.
    """

    hidden: FloatArray
    hidden_bias: FloatArray
    output: FloatArray

    @classmethod
    def of(cls, weights: Mapping[str, npt.NDArray[Any]], dimensions: int) -> TextMap | None:
        """Of a bundle's tensors; None of a bundle that has none.

        Raises
        ------
        TypeError, ValueError
            Some of them are missing or too many, or do not fit `dimensions` or each other.
        """
        own = {
            name.removeprefix(TEXT_MAP): array.astype(np.float32)
            for name, array in weights.items()
            if name.startswith(TEXT_MAP)
        }
        if not own:
            return None
        found = cls(**own)
        shapes = found.hidden.shape, found.hidden_bias.shape, found.output.shape
        h = found.hidden_bias.size
        if shapes != ((h, dimensions), (h,), (dimensions, h)):
            raise ValueError(f"{TEXT_MAP}* have the shapes {shapes}")
        return found

    def tensors(self) -> dict[str, FloatArray]:
        """The tensors of a bundle, from which `of` makes it again."""
        return {f"{TEXT_MAP}{name}": getattr(self, name) for name in self.__slots__}

    def __call__(self, texts: FloatArray) -> FloatArray:
        """Texts without what is common, moved; shape (n, 384) or (384,)."""
        answer = np.maximum(texts @ self.hidden.T + self.hidden_bias, 0) @ self.output.T
        moved: FloatArray = texts + answer
        return moved


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
    text_map
        Moves texts to where their pictures are; None in bundles without.
    """

    weight: FloatArray
    bias: FloatArray
    common: FloatArray
    text_map: TextMap | None = None

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
            weight = weights[_WEIGHT].astype(np.float32)
            bias = weights[_BIAS].astype(np.float32)
            common = weights.get(COMMON, np.zeros_like(bias)).astype(np.float32)
            size = bundle.architecture["sentences"]
            check_shapes(
                {_WEIGHT: weight, _BIAS: bias, COMMON: common},
                {_WEIGHT: (size, bundle.dimensions), _BIAS: (size,), COMMON: (size,)},
            )
            text_map = TextMap.of(weights, len(bias))
        return cls(weight * np.float32(bundle.dimensions**0.5), bias, common, text_map)

    def tensors(self) -> dict[str, FloatArray]:
        """The tensors of a bundle, from which `of` makes it again."""
        found = {
            _WEIGHT: self.weight / np.float32(self.weight.shape[1] ** 0.5),
            _BIAS: self.bias,
            COMMON: self.common,
        }
        return found | (self.text_map.tensors() if self.text_map else {})

    def likeness(
        self, vectors: npt.NDArray[np.floating], embeddings: npt.NDArray[np.floating]
    ) -> FloatArray:
        """How well texts, (n, 384) from the sentence model, fit search vectors, (m, dimensions):
        shape (n, m)."""
        fit: FloatArray = self._moved(vectors) @ self.place(embeddings).T
        return fit

    def direction(self, sentence: npt.NDArray[np.floating]) -> tuple[FloatArray, float]:
        """The way to a sentence among search vectors.

        Returns
        -------
        direction, constant
            Shape (dimensions,), and a number: the inner product of a search vector with the one,
            plus the other, is how well `sentence` fits it.
        """
        vector = self._moved(sentence)
        return vector @ self.weight, float(vector @ self.bias)

    def _moved(self, texts: npt.NDArray[np.floating]) -> FloatArray:
        """Texts as they are compared with pictures."""
        own = (texts - self.common).astype(np.float32)
        return own if self.text_map is None else self.text_map(own)

    def place(self, embeddings: npt.NDArray[np.floating]) -> FloatArray:
        """The places of search vectors, shape (n, dimensions), among sentences: (n, 384)."""
        return embeddings.astype(np.float32) @ self.weight.T + self.bias
