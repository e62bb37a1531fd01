"""A second cascade that a bundle carries: trained over the embeddings of the bundle's CNNs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from indexer.datasets.example import Example

__all__ = ["Embedded", "SecondCascade", "TrainSecondCascade"]


@dataclass(frozen=True, slots=True)
class Embedded:
    """The annotated images of one part of a data set, as the CNNs of a bundle read them.

    Parameters
    ----------
    examples
        The images.
    vectors
        Shape (n, dimensions): their search vectors.
    logits
        Shape (n, findings): their calibrated scores.
    """

    examples: Sequence[Example]
    vectors: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SecondCascade:
    """What a bundle stores of it.

    Parameters
    ----------
    description
        Everything but the tensors, as JSON.
    tensors
        By name.
    record
        How it was trained and what it scored on val.
    """

    description: Mapping[str, Any]
    tensors: Mapping[str, npt.NDArray[Any]]
    record: Mapping[str, Any]


#: Makes a cascade from the parts ``train`` and ``val``, the names of the findings, a folder for
#: checkpoints and a device. It gives None where the parts do not show what there is to learn.
TrainSecondCascade: TypeAlias = Callable[
    [Mapping[str, Embedded], Sequence[str], Path, str], SecondCascade | None
]
