"""What all rounds of a training share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from indexer.learning.epochs import Checkpoint
from indexer.paper.annotations import PaperVocabulary
from indexer.paper.cases import Cases
from indexer.paper.model import Variant, prepare
from indexer.paper.recipe import PaperRecipe

__all__ = ["Setup", "digest"]

# Images read at once.
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Setup:
    """A recipe with what it is trained on, and where.

    Parameters
    ----------
    recipe
        All that decides how the cascade comes out.
    train, val
        What is learned from, and what chooses.
    vocabulary
        Of the annotations of `train`.
    work
        Holds a checkpoint after each epoch.
    device
        Where it computes.
    """

    recipe: PaperRecipe
    train: Cases
    val: Cases
    vocabulary: PaperVocabulary
    work: Path
    device: torch.device

    @torch.inference_mode()
    def features(self, variant: Variant, inputs: npt.NDArray[Any]) -> tuple[Tensor, Tensor]:
        """Features and class log-probabilities of every image, on the CPU, in order."""
        variant.classifier.eval()
        parts = []
        for start in range(0, len(inputs), _BATCH):
            batch = prepare(inputs[start : start + _BATCH], self.recipe.crop).to(self.device)
            parts.append([part.cpu() for part in variant.embed(batch)])
        features, log_probabilities = (torch.cat(column) for column in zip(*parts, strict=True))
        return features, log_probabilities

    def facts(self, names: str) -> dict[str, Any]:
        """What the recipe says of `names`, which are separated by spaces."""
        return {name: getattr(self.recipe, name) for name in names.split()}

    def checkpoint(self, key: list[Any], parts: Mapping[str, Any]) -> Checkpoint:
        """The checkpoint of a network's parts, its file named by all that decides what is in it."""
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        return Checkpoint(self.work / f"paper-{name[:16]}.pt", parts, self.device)


def digest(*arrays: npt.NDArray[Any]) -> str:
    """A hash of the shapes, kinds and numbers of arrays."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.shape} {array.dtype}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
