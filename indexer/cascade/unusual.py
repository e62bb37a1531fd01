"""Whether a canvas shows a chest film at all: noise, other body parts, wrongly decoded pictures.

The search vector does not tell an upside-down or inverted film from an upright one well enough, and
a distance in it costs the CNN's time. This judges the canvas itself, by the mean and the spread of
16 x 16 blocks: a small network that was taught films against spoilt ones, and the part of a canvas
that the main directions of films leave over (both fitted by `indexer.training.unusual`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.errors import BundleError

__all__ = ["PREFIX", "UnusualScore", "block_statistics"]

#: Of the names of its tensors in a bundle.
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
        Shape (514,): mean and spread of films' statistics.
    basis
        Shape (k, 514): main directions of films' statistics, orthonormal.
    hidden, hidden_bias, output, output_bias
        Shapes (514, h), (h,), (h,), (): the network.
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

    def tensors(self) -> dict[str, FloatArray]:
        """The tensors of a bundle, from which `of` makes it again."""
        return {f"{PREFIX}{name}": getattr(self, name) for name in self.__slots__}

    def parts(self, canvases: npt.NDArray[np.uint8]) -> FloatArray:
        """The network's answer and the logarithm of what is left over, shape (n, 2)."""
        inputs = (block_statistics(canvases) - self.centre) / self.scale
        inside = inputs @ self.basis.T
        left = (inputs**2).sum(1) - (inside**2).sum(1)
        hidden = np.maximum(inputs @ self.hidden + self.hidden_bias, 0)
        answer = hidden @ self.output + self.output_bias
        found: FloatArray = np.stack([answer, np.log(left.clip(1e-6))], 1).astype(np.float32)
        return found

    def __call__(self, canvases: npt.NDArray[np.uint8]) -> FloatArray:
        """Scores from 0 to 1 of canvases of shape (n, size, size), over
        `indexer.cascade.certainty.UNUSUAL` where unusual."""
        median, limit = self.limits.T
        beyond = ((self.parts(canvases) - limit) / (limit - median)).max(1)
        score: FloatArray = 0.5 * (1 + np.tanh(np.float32(_STEEPNESS / 2) * beyond))
        return score
