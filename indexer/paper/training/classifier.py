"""Training the CNN of a round on its labels."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from indexer.annotation import NORMAL
from indexer.learning.composite_labels import CompositeLabels
from indexer.learning.epochs import Criterion, EpochScores, run_epochs
from indexer.paper.model import Variant, prepare
from indexer.paper.recipe import PaperRecipe
from indexer.paper.training.sampling import draw_epoch
from indexer.paper.training.setup import Setup, digest
from indexer.paper.training.validation import checked

__all__ = ["draw_rows", "fit_classifier"]


def fit_classifier(
    setup: Setup, variant: Variant, labels: CompositeLabels, seed: int
) -> list[EpochScores]:
    """SGD on the labels; keeps the epoch of the least mean loss per class on val."""
    recipe, train, val, device = setup.recipe, setup.train, setup.val, setup.device
    model = variant.classifier
    model.to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        model.parameters(), recipe.learning_rate, 0.9, weight_decay=recipe.weight_decay
    )
    third = max(1, -(-recipe.epochs // 3))
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, third, 1 / 3)
    targets = torch.from_numpy(labels.rows)
    half = device.type == "cuda" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())

    def train_epoch(number: int) -> EpochScores:
        # Seeded by epoch, so that a resumed training draws what an unbroken one would have.
        torch.manual_seed(seed * 1000 + number)
        started = time.time()
        model.train()
        rows = draw_rows(recipe, labels, seed, number)
        draw = torch.Generator().manual_seed(seed * 1000 + number)
        losses = []
        # Batch norm cannot learn from a single image, so no batch is left with one.
        for step in np.array_split(rows, max(1, len(rows) // recipe.batch_size)):
            batch = prepare(train.inputs[step], recipe.crop, draw).to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=half and not recipe.frozen):
                _, logits = model(batch)
            loss = nn.functional.cross_entropy(logits, targets[step].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        schedule.step()
        model.eval()
        _, log_probabilities = setup.features(variant, val.inputs)
        return checked(losses, _scores(log_probabilities, val.classes), number, started)

    key = [
        setup.facts("backbone features epochs batch_size learning_rate weight_decay patience"),
        setup.facts("data_dropout per_label crop dropout"),
        seed,
        labels.names,
        digest(labels.rows, train.inputs, val.inputs, val.classes),
    ]
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    criterion = Criterion("val_loss", patience=recipe.patience)
    return run_epochs(model, train_epoch, recipe.epochs, criterion, setup.checkpoint(key, parts))


def _scores(log_probabilities: Tensor, classes: npt.NDArray[np.int64]) -> dict[str, float]:
    """Loss and recall averaged over the classes, so that normals do not decide alone."""
    scores = log_probabilities.numpy()
    losses = -scores[np.arange(len(classes)), classes]
    right = scores.argmax(1) == classes
    present = np.unique(classes)
    return {
        "val_loss": float(np.mean([losses[classes == c].mean() for c in present])),
        "val_balanced_accuracy": float(np.mean([right[classes == c].mean() for c in present])),
    }


def draw_rows(
    recipe: PaperRecipe, labels: CompositeLabels, seed: int, epoch: int
) -> npt.NDArray[np.int64]:
    """The images of an epoch, as rows of `train`."""
    return draw_epoch(
        labels.rows,
        labels.names.index(NORMAL) if NORMAL in labels.names else len(labels.names),
        seed=seed,
        epoch=epoch,
        data_dropout=recipe.data_dropout,
        per_label=recipe.per_label,
    )
