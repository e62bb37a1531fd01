"""Training the RNN of a round on the annotations, over the features of its CNN."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor, nn

from indexer.learning.epochs import Criterion, EpochScores, run_epochs
from indexer.paper.classes import CLASSES
from indexer.paper.model import Variant
from indexer.paper.networks import PaperAnnotator
from indexer.paper.training.setup import Setup, digest
from indexer.paper.training.validation import checked

__all__ = ["annotator_loss", "fit_annotator"]

_CLIP = 5.0


def fit_annotator(setup: Setup, variant: Variant, seed: int) -> list[EpochScores]:
    """RMSprop on the true annotations, its state always started by the image."""
    recipe, device, vocabulary = setup.recipe, setup.device, setup.vocabulary
    model = variant.annotator
    model.to(device)
    images, tokens = _sequences(setup, variant)
    val_features, _ = setup.features(variant, setup.val.inputs)
    val_tokens = torch.from_numpy(vocabulary.encode(setup.val.annotations, recipe.steps))
    ill = val_tokens[:, 0] != 1
    judged = ill if bool(ill.any()) else ~ill
    classes = (tokens[:, 0] - 1).numpy()
    optimizer = torch.optim.RMSprop(
        model.parameters(),
        recipe.learning_rate_for("lstm" if model.cell == "lstm" else "gru"),
        weight_decay=recipe.writer_decay,
    )

    def train_epoch(number: int) -> EpochScores:
        # Seeded by epoch, so that a resumed training draws what an unbroken one would have.
        torch.manual_seed(seed * 1000 + number)
        started = time.time()
        model.train()
        # Normal images have no words after their class: as many as of one disease are enough.
        rng = np.random.default_rng([seed, number])
        normal = rng.permutation(np.flatnonzero(classes == 0))[: np.bincount(classes)[1:].max()]
        order = rng.permutation(np.concatenate([np.flatnonzero(classes != 0), normal]))
        losses = []
        for step in np.array_split(order, max(1, len(order) // recipe.writer_batch)):
            loss = model.loss(images[step].to(device), tokens[step].to(device))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
            optimizer.step()
            losses.append(loss.item())
        val_loss = annotator_loss(model, val_features[judged], val_tokens[judged], device)
        return checked(losses, {"val_loss": val_loss}, number, started)

    key = [
        setup.facts("units layers project steps"),
        setup.facts("writer_epochs writer_rate writer_batch writer_decay patience"),
        seed,
        model.cell,
        vocabulary.words,
        digest(images.numpy(), tokens.numpy(), val_features.numpy(), val_tokens.numpy()),
    ]
    checkpoint = setup.checkpoint(key, {"model": model, "optimizer": optimizer})
    criterion = Criterion("val_loss", patience=recipe.patience)
    history = run_epochs(model, train_epoch, recipe.writer_epochs, criterion, checkpoint)
    model.cpu()
    return history


@torch.inference_mode()
def annotator_loss(
    model: PaperAnnotator, features: Tensor, tokens: Tensor, device: torch.device | None = None
) -> float:
    """Cross-entropy of the words after the first, the state started by each image's own features.

    Parameters
    ----------
    features, tokens
        As `PaperAnnotator.loss` takes them.
    """
    model.eval()
    place = device if device is not None else torch.device("cpu")
    return float(model.loss(features.to(place), tokens.to(place)))


def _sequences(setup: Setup, variant: Variant) -> tuple[Tensor, Tensor]:
    """Features and word rows of every annotation of a class that train images have."""
    train = setup.train
    groups = [(train.examples, setup.features(variant, train.inputs)[0])]
    if train.other_inputs is not None and len(train.others):
        groups.append((train.others, setup.features(variant, train.other_inputs)[0]))
    words, images = [], []
    for examples, features in groups:
        for example, vector in zip(examples, features, strict=True):
            annotations = [tuple(w.text for w in a.words) for a in example.annotations]
            of_classes = [annotation for annotation in annotations if annotation[0] in CLASSES]
            words += of_classes
            images += [vector] * len(of_classes)
    tokens = setup.vocabulary.encode(words, setup.recipe.steps)
    return torch.stack(images), torch.from_numpy(tokens)
