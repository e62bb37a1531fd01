"""What every runtime is: a bundle's CNN, loaded, and what it says of pictures."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Encoded", "EncoderRuntime", "OutOfDeviceMemory"]

_FloatArray = npt.NDArray[np.float32]


class Encoded(NamedTuple):
    """What the CNN says of n pictures.

    Parameters
    ----------
    embedding
        Shape (n, dimensions): the search vectors.
    logits
        Shape (n, labels), calibrated.
    view
        Shape (n,): logit of a lateral view.
    """

    embedding: _FloatArray
    logits: _FloatArray
    view: _FloatArray


class OutOfDeviceMemory(Exception):  # noqa: N818
    """A batch does not fit into the device's memory; a smaller one may."""


class EncoderRuntime(Protocol):
    """A bundle's CNN, loaded; several threads may read with it.

    Attributes
    ----------
    precision
        What it multiplies in, such as ``"float32"``.
    fixed_batch
        Whether what it says of a picture may depend on how many there are, by a last bit: it must
        then always be given equally many.
    """

    precision: str
    fixed_batch: bool

    def encode(self, canvases: npt.NDArray[np.uint8], /) -> Encoded:
        """Read pictures of shape (n, size, size); raises `OutOfDeviceMemory`."""
