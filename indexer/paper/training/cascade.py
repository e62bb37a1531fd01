"""Training the cascade: all rounds of every kind of RNN, and the choice among them."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from pathlib import Path

from indexer.cascade.bundle import Bundle
from indexer.cascade.devices import choose_device
from indexer.datasets.example import check_apart
from indexer.memory import keep_freed_memory
from indexer.paper.annotations import PaperVocabulary
from indexer.paper.cases import Cases, load_cases
from indexer.paper.classes import commonest_annotations
from indexer.paper.model import PaperModel
from indexer.paper.recipe import PaperRecipe
from indexer.paper.scores import evaluate_paper
from indexer.paper.training.rounds import (
    composite_labels,
    composite_map,
    first_labels,
    train_round,
)
from indexer.paper.training.setup import Setup
from indexer.paper.training.validation import preference

__all__ = ["train_cascade", "train_paper"]

log = logging.getLogger(__name__)


def train_paper(
    dataset: Path,
    output: Path,
    recipe: PaperRecipe,
    *,
    work: Path,
    bundle: Path | None = None,
    device: str = "auto",
    limit: int | None = None,
    maps: bool = False,
) -> PaperModel:
    """Train on the `train` part of a data set, choose on `val`, and write the result.

    Parameters
    ----------
    dataset
        A folder in the Open-i layout (see `indexer.datasets.dataset`).
    output
        Folder of the result.
    work
        Holds decoded pictures, embeddings and a checkpoint after each epoch; an interrupted
        training goes on from it.
    bundle
        For a frozen recipe: whose embeddings are read; the shipped bundle where None.
    limit
        Use only this many images of each part.
    maps
        Also draw the joint vectors' maps, for a report.

    Raises
    ------
    TrainingError
        The data set is unusable.
    """
    source = Bundle.load(bundle) if recipe.frozen else None
    parts = {
        part: load_cases(
            dataset, part, recipe, work=work, bundle=source, device=device, limit=limit
        )
        for part in ("train", "val")
    }
    model = train_cascade(recipe, parts["train"], parts["val"], work=work, device=device, maps=maps)
    if source is not None:
        model.bundle = source.hash
    model.save(output)
    return model


def train_cascade(
    recipe: PaperRecipe,
    train: Cases,
    val: Cases,
    *,
    work: Path,
    device: str = "auto",
    maps: bool = False,
) -> PaperModel:
    """All rounds of every RNN cell of the recipe.

    Nothing is learned from `val`: it ends a network's training, and chooses how far class
    frequencies count and which variant of the last round is the best. Both parts stay the same in
    all rounds.

    Raises
    ------
    TrainingError
        The parts share a study.
    """
    check_apart([*train.examples, *train.others], [*val.examples, *val.others])
    keep_freed_memory()
    work.mkdir(parents=True, exist_ok=True)
    started = time.time()
    vocabulary = PaperVocabulary.of(
        a for e in (*train.examples, *train.others) for a in e.annotations
    )
    setup = Setup(recipe, train, val, vocabulary, work, choose_device(device))
    model = PaperModel(
        backbone=recipe.backbone,
        dimensions=train.inputs.shape[1] if recipe.frozen else 0,
        size=recipe.size,
        crop=recipe.crop,
        steps=recipe.steps,
        vocabulary=vocabulary,
        variants={},
        chosen="",
        commonest=commonest_annotations(train.examples),
    )
    log.info(
        "%d train and %d val images of a class, %d words",
        len(train.examples),
        len(val.examples),
        len(vocabulary.words),
    )
    rounds = []
    for cell in recipe.cells:
        labels = first_labels(train)
        for number in range(recipe.rounds + 1):
            variant, record = train_round(setup, cell, number, labels)
            name = f"{cell}/{number}"
            model.variants[name] = variant
            if maps:
                model.maps[name] = composite_map(setup, variant, labels)
            rounds.append({"variant": name, "images": len(train.examples), **record})
            if number < recipe.rounds:
                labels = composite_labels(setup, variant)
    predictions = model.predict(val.inputs)
    last = [name for name in model.variants if name.endswith(f"/{recipe.rounds}")]
    model.chosen = max(last, key=lambda name: preference(val.annotations, predictions[name]))
    model.record = {
        "recipe": asdict(recipe),
        "images": {"train": len(train.examples), "val": len(val.examples)},
        "rounds": rounds,
        "val": evaluate_paper(val.examples, predictions, model.commonest, chosen=model.chosen),
        "seconds": round(time.time() - started),
    }
    return model
