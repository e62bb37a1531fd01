"""Training the RNN of a bundle over its search vectors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from indexer.annotation import Annotation
from indexer.cascade.labels import LabelSet
from indexer.cascade.networks.annotator import Annotator
from indexer.datasets.mining import encode_sequences
from indexer.learning.epochs import Criterion, EpochScores, run_epochs
from indexer.training.composite_labels import LONGEST
from indexer.training.recipe import Recipe

__all__ = ["annotator_shape", "train_annotator"]

_FloatArray = npt.NDArray[np.float32]
# Annotations in a training step.
_ANNOTATIONS = 128


def annotator_shape(recipe: Recipe) -> dict[str, Any]:
    """The arguments of `Annotator` beside dimensions and words."""
    return {"cell": recipe.cell, "units": recipe.units, "layers": recipe.layers}


def train_annotator(
    recipe: Recipe,
    labels: LabelSet,
    annotations: Mapping[str, Sequence[Sequence[Annotation]]],
    vectors: Mapping[str, _FloatArray],
) -> tuple[Annotator, list[EpochScores]]:
    """The RNN of the epoch with the least loss on val, its state always started by the image.

    Parameters
    ----------
    annotations, vectors
        Per part, each image's annotations, and search vectors of shape (images, dimensions).

    Returns
    -------
    annotator, history
        In evaluation mode, and its losses after every epoch.
    """
    torch.manual_seed(recipe.seed)
    model = Annotator(recipe.dimensions, len(labels.vocabulary), **annotator_shape(recipe))
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.05)
    data = {}
    for part, rows in annotations.items():
        owners, words = encode_sequences(rows, labels, LONGEST)
        data[part] = torch.from_numpy(vectors[part][owners]), torch.from_numpy(words)

    def sequence_loss(embedding: Tensor, tokens: Tensor) -> Tensor:
        logits = model(embedding, tokens[:, :-1].clamp(min=0))
        return nn.functional.cross_entropy(
            logits.flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=-1
        )

    def train_epoch(_: int) -> EpochScores:
        model.train()
        embedding, tokens = data["train"]
        losses = []
        for step in torch.randperm(len(tokens)).split(_ANNOTATIONS):
            loss = sequence_loss(embedding[step], tokens[step])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            losses.append(loss.item())
        model.eval()
        with torch.inference_mode():
            val_loss = sequence_loss(*data["val"]).item()
        return {"loss": float(np.mean(losses)), "val_loss": val_loss}

    # Epochs with few steps change little, so early stopping waits for more of them.
    patience = max(5, math.ceil(100 * _ANNOTATIONS / len(data["train"][1])))
    criterion = Criterion("val_loss", tolerance=1e-4, patience=patience)
    history = run_epochs(model, train_epoch, recipe.annotator_epochs, criterion)
    return model, [{name: round(value, 4) for name, value in row.items()} for row in history]
