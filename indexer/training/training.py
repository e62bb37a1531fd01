"""A training from folders to a bundle: sources are loaded or packed, what is trained in `rounds` is
reported on."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from indexer.cascade.bundle import Bundle
from indexer.cascade.devices import choose_device
from indexer.learning.report_page import check_report
from indexer.learning.second_cascade import TrainSecondCascade
from indexer.memory import keep_freed_memory
from indexer.training.bundle_report import write_bundle_report
from indexer.training.cnn.member import check_start
from indexer.training.cnn.packed import pack
from indexer.training.cnn.teachers import Teachers
from indexer.training.model_card import write_model_card
from indexer.training.recipe import Recipe
from indexer.training.rounds import Training
from indexer.training.sources import Sources, Start

__all__ = ["pack_first", "train"]

log = logging.getLogger(__name__)


def train(
    datasets: Path | Sequence[Path],
    output: Path,
    recipe: Recipe,
    *,
    work: Path,
    device: str = "auto",
    limit: int | None = None,
    report: Path | None = None,
    start: Path | None = None,
    teachers: Sequence[Path] = (),
    second: TrainSecondCascade | None = None,
) -> Bundle:
    """Train a cascade on the `train` parts of data sets; calibrate it on their `val` parts.

    Parameters
    ----------
    datasets
        One or several data sets of any supervision (see `indexer.datasets.images.Dataset.open`).
    output
        Folder of the bundle.
    work
        Holds decoded pictures, what was read, and a checkpoint after each epoch; an interrupted
        training goes on from it.
    limit
        Use only this many images of each part of each data set.
    report
        Write curves, composite labels and their map to this ``.md`` or ``.html`` file.
    start
        A bundle whose CNNs are trained on.
    teachers
        Bundles whose mean teaches what nobody says of a picture; without any `start` does.
    second
        Trains the paper's cascade over the bundle's embeddings; the bundle has none where None.

    Raises
    ------
    TrainingError
        A data set is unusable, the report no such file, or the bundle of other networks.
    BundleError
        There is no such bundle to start from or to be taught by.
    MissingExtraError
        A package that training needs is not installed.
    """
    if report is not None:
        check_report(report)
    started = time.time()
    training = _prepared(datasets, recipe, work, device, limit, start, teachers)
    bundle, composites = training.bundle(output, started, device, second)
    write_model_card(bundle, training.sources.descriptions)
    if report is not None:
        write_bundle_report(report, bundle.name, bundle.record, composites)
    return bundle


def pack_first(
    datasets: Sequence[Path],
    path: Path,
    recipe: Recipe,
    *,
    work: Path,
    device: str = "auto",
    limit: int | None = None,
    start: Path | None = None,
    teachers: Sequence[Path] = (),
) -> None:
    """Write what the first CNN of a training learns from, to be trained on another machine.

    Parameters
    ----------
    path
        The file (see `indexer.training.cnn.packed`).
    recipe, work, device, limit, start, teachers
        As of `train`, which takes the CNN for its own once it lies in `work`.

    Raises
    ------
    TrainingError, BundleError, MissingExtraError
        As of `train`.
    """
    training = _prepared(datasets, recipe, work, device, limit, start, teachers)
    recipe, _, taught, run = training.lesson(
        0, np.arange(training.sources.known["train"].targets.shape[1])
    )
    canvases = training.sources.canvases["train"]
    pack(path, recipe, 0, taught, canvases, training.validation, run)


def _prepared(
    datasets: Path | Sequence[Path],
    recipe: Recipe,
    work: Path,
    device: str,
    limit: int | None,
    start: Path | None,
    teachers: Sequence[Path],
) -> Training:
    """A training whose sources are read."""
    recipe.check(start=start is not None, teachers=bool(teachers))
    begin = None if start is None else Start(Bundle.load(start))
    if begin is None:
        check_start(recipe)
    else:
        begin.check(recipe.backbones, recipe.dimensions, recipe.size)
    telling = [Bundle.load(path) for path in teachers] or ([begin.bundle] if begin else [])
    taught_by = Teachers(telling, recipe.teacher_views, device)
    taught_by.check(recipe.size)
    torch.manual_seed(recipe.seed)
    # A training step frees gigabytes and needs them again at once, so they are kept.
    keep_freed_memory(-1)
    sources = Sources.load(
        [datasets] if isinstance(datasets, Path) else datasets,
        recipe,
        work,
        limit=limit,
        unlabelled=bool(telling) and recipe.teacher_weight > 0 and recipe.trained > 0,
    )
    log.info("%s", sources.summary())
    return Training(recipe, sources, begin, work, choose_device(device), taught_by)
