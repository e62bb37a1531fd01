"""Whether a canvas shows a chest film at all: noise, other body parts, wrongly decoded pictures.

Two things judge: a small network, taught films against spoilt ones, by the search vector and
by the mean and spread of 16 x 16 blocks of the canvas (either alone tells inverted and upside-down
films less well); and how far those blocks lie from the mean of films, by how much films differ in
each direction, which tells other body parts. Both are fitted by
`indexer.training.interpretation.unusual`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.errors import BundleError

__all__ = ["PREFIX", "UnusualScore", "block_statistics"]

#: Prefix of the names of its tensors in a bundle.
PREFIX = "unusual."

_SIDE = 16
# How fast the score goes from 0 to 1 around its limit, in distances of the limit from the median.
_STEEPNESS = 6.0

FloatArray = npt.NDArray[np.float32]


def block_statistics(canvases: npt.NDArray[np.uint8]) -> FloatArray:
    """What the score sees of canvases.

    Parameters
    ----------
    canvases
        Shape (n, size, size).

    Returns
    -------
    numpy.ndarray
        Shape (n, 514): of each block its mean against the canvas's own mean and spread, and the
        logarithm of the spread in it; then mean and spread of the means.
    """
    n, size = len(canvases), canvases.shape[1] // _SIDE
    cut = canvases[:, : size * _SIDE, : size * _SIDE].astype(np.float32)
    blocks = cut.reshape(n, _SIDE, size, _SIDE, size)
    means, spreads = blocks.mean((2, 4)).reshape(n, -1), blocks.std((2, 4)).reshape(n, -1)
    mean, spread = means.mean(1, keepdims=True), means.std(1, keepdims=True)
    parts = [(means - mean) / (spread + 4), np.log1p(spreads) / 2, mean / 64, spread / 16]
    found: FloatArray = np.concatenate(parts, 1)
    return found


@dataclass(frozen=True, slots=True)
class UnusualScore:
    """How unusual canvases are.

    Parameters
    ----------
    centre, scale
        Shape (514 + dimensions,): mean and spread of films' statistics and search vectors.
    basis
        Shape (k, 514): main directions of films' statistics, at right angles, at most 1 long: the
        longer, the more films differ in them, and the less a picture's part in them counts.
    hidden, hidden_bias, output, output_bias
        Shapes (514 + dimensions, h), (h,), (h,), (): the network.
    limits
        Shape (2, 2): of the network's answer and of the logarithm of what is left over, the median
        of films and the value from which on a picture is unusual.
    """

    centre: FloatArray
    scale: FloatArray
    basis: FloatArray
    hidden: FloatArray
    hidden_bias: FloatArray
    output: FloatArray
    output_bias: FloatArray
    limits: FloatArray

    @classmethod
    def of(cls, weights: Mapping[str, npt.NDArray[Any]]) -> UnusualScore | None:
        """Of a bundle's tensors; None of a bundle that has none.

        Raises
        ------
        BundleError
            Some of them are missing.
        """
        own = {
            name.removeprefix(PREFIX): array.astype(np.float32)
            for name, array in weights.items()
            if name.startswith(PREFIX)
        }
        if not own:
            return None
        try:
            return cls(**own)
        except TypeError as error:
            raise BundleError(f"the bundle's tensors {PREFIX}* do not fit: {error}") from error

    @staticmethod
    def shapes(dimensions: int) -> dict[str, tuple[int | str, ...]]:
        """Shapes of the tensors of a bundle by name; sizes of one letter may be any."""
        size = 2 * _SIDE**2 + 2
        own: dict[str, tuple[int | str, ...]] = {
            "centre": (size + dimensions,),
            "scale": (size + dimensions,),
            "basis": ("k", size),
            "hidden": (size + dimensions, "h"),
            "hidden_bias": ("h",),
            "output": ("h",),
            "output_bias": (),
            "limits": (2, 2),
        }
        return {f"{PREFIX}{name}": shape for name, shape in own.items()}

    def tensors(self) -> dict[str, FloatArray]:
        """The tensors of a bundle, from which `of` makes it again."""
        return {f"{PREFIX}{name}": getattr(self, name) for name in self.__slots__}

    def parts(self, statistics: FloatArray, vectors: npt.NDArray[np.floating]) -> FloatArray:
        """The network's answer and the logarithm of what is left over, shape (n, 2).

        Parameters
        ----------
        statistics
            Of `block_statistics`.
        vectors
            Search vectors, shape (n, dimensions).
        """
        inputs = (np.concatenate([statistics, vectors], 1) - self.centre) / self.scale
        hidden = np.maximum(inputs @ self.hidden + self.hidden_bias, 0)
        answer = hidden @ self.output + self.output_bias
        blocks = inputs[:, : self.basis.shape[1]]
        left = (blocks**2).sum(1) - ((blocks @ self.basis.T) ** 2).sum(1)
        found: FloatArray = np.stack([answer, np.log(left.clip(1e-6))], 1).astype(np.float32)
        return found

    def __call__(
        self, canvases: npt.NDArray[np.uint8], vectors: npt.NDArray[np.floating]
    ) -> FloatArray:
        """Scores from 0 to 1 of canvases of shape (n, size, size) with their search vectors, over
        `indexer.cascade.interpretation.certainty.UNUSUAL` where unusual."""
        median, limit = self.limits.T
        parts = self.parts(block_statistics(canvases), vectors)
        beyond = ((parts - limit) / (limit - median)).max(1)
        score: FloatArray = 0.5 * (1 + np.tanh(np.float32(_STEEPNESS / 2) * beyond))
        return score
