"""One round: both networks trained, and what comes of them for the next one."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from indexer.annotation import NORMAL
from indexer.learning.composite_labels import CompositeLabels, cluster, joint_vectors
from indexer.learning.composite_map import CompositeMap, map_composite_vectors
from indexer.paper.cases import Cases
from indexer.paper.classes import CLASSES
from indexer.paper.model import Variant
from indexer.paper.networks import PaperAnnotator, build_classifier
from indexer.paper.recipe import Cell
from indexer.paper.training.annotator import fit_annotator
from indexer.paper.training.classifier import draw_rows, fit_classifier
from indexer.paper.training.setup import Setup
from indexer.paper.training.validation import preference

__all__ = ["composite_labels", "composite_map", "first_labels", "train_round"]

log = logging.getLogger(__name__)

# How far the decision corrects for balanced epochs; the best of these on val is chosen.
_PRIORS = (0.0, 0.25, 0.5, 0.75, 1.0)


def first_labels(train: Cases) -> CompositeLabels:
    """Round 0: the labels are the classes that train has."""
    present, rows = np.unique(train.classes, return_inverse=True)
    names = tuple(CLASSES[c] for c in present)
    return CompositeLabels(names, names, rows.astype(np.int64))


def train_round(
    setup: Setup, cell: Cell, number: int, labels: CompositeLabels
) -> tuple[Variant, dict[str, Any]]:
    """The networks of round `number`, and how their training went."""
    recipe, words = setup.recipe, setup.vocabulary.words
    # Both draw their weights from the seed, whatever was drawn before.
    seed = recipe.seed * 1000 + number
    torch.manual_seed(seed)
    classifier = build_classifier(
        recipe.backbone,
        setup.train.inputs.shape[1],
        recipe.features,
        len(labels.names),
        recipe.dropout,
    )
    shape: dict[str, Any] = {
        "cell": cell,
        "units": recipe.units,
        "layers": recipe.layers,
        "project": recipe.project,
    }
    torch.manual_seed(seed)
    annotator = PaperAnnotator(classifier.features, len(words), **shape)
    variant = Variant(
        classifier,
        annotator,
        labels.names,
        labels.diseases,
        np.zeros(len(CLASSES), np.float32),
        {"features": recipe.features, "writer": shape},
    )
    classifier_history = fit_classifier(setup, variant, labels, seed)
    annotator_history = fit_annotator(setup, variant, seed)
    variant.bias, prior = _choose_prior(setup, variant, labels)
    record = {
        "labels": labels.sizes(),
        "classifier": classifier_history,
        "writer": annotator_history,
        "prior": prior,
    }
    log.info("%s/%d: %d labels, prior %.2f", cell, number, len(labels.names), prior)
    return variant, record


def composite_labels(setup: Setup, variant: Variant) -> CompositeLabels:
    """The next round's labels, from every train image once."""
    recipe = setup.recipe
    return cluster(
        _vectors(setup, variant),
        setup.train.annotations,
        images_per_label=recipe.images_per_label,
        deviations=recipe.deviations,
        k=recipe.clusters,
        seed=recipe.seed,
    )


def composite_map(setup: Setup, variant: Variant, labels: CompositeLabels) -> CompositeMap:
    """The map of the diseased images; normal ones are one label, and would fill it."""
    rows = [row for row, label in enumerate(labels.rows) if labels.diseases[label] != NORMAL]
    return map_composite_vectors(
        _vectors(setup, variant)[rows],
        [labels.names[labels.rows[row]] for row in rows],
        setup.recipe.seed,
    )


def _vectors(setup: Setup, variant: Variant) -> npt.NDArray[np.float32]:
    """Of each train image: its joint vector, or its feature alone where the recipe says so."""
    features = setup.features(variant, setup.train.inputs)[0]
    if not setup.recipe.joint:
        alone: npt.NDArray[np.float32] = nn.functional.normalize(features, dim=1).numpy()
        return alone
    tokens = setup.vocabulary.encode(setup.train.annotations, setup.recipe.steps)
    return joint_vectors(variant.annotator, features, tokens)


def _choose_prior(
    setup: Setup, variant: Variant, labels: CompositeLabels
) -> tuple[npt.NDArray[np.float32], float]:
    """The bias of the classes, and how far it takes the balancing of the epochs back, by val.

    Balanced epochs teach the CNN that every label is as frequent. At 1 the classes are as frequent
    as in train, at 0 as in an epoch; what is best is a matter of what is counted.
    """
    recipe, train, val = setup.recipe, setup.train, setup.val
    drawn = train.classes[draw_rows(recipe, labels, recipe.seed, 0)]
    true, shown = (
        np.bincount(classes, minlength=len(CLASSES)).clip(1) / len(classes)
        for classes in (train.classes, drawn)
    )
    correction = np.log(true / shown).astype(np.float32)
    features, log_probabilities = setup.features(variant, val.inputs)
    scores = {}
    for prior in _PRIORS:
        variant.bias = (prior * correction).astype(np.float32)
        lines = variant.write(features, variant.name(log_probabilities), recipe.steps)
        written = [setup.vocabulary.decode(line) for line in lines]
        scores[prior] = preference(val.annotations, written)
    best = max(scores, key=lambda prior: scores[prior])
    return (best * correction).astype(np.float32), best
