"""Thresholds of a trained bundle chosen anew; nothing else of it changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from indexer.archive.decoding import DecodeSettings
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.labels import LabelSet
from indexer.cascade.reading import Predictor
from indexer.datasets.dataset import load_canvases
from indexer.datasets.example import Example
from indexer.datasets.images import Dataset
from indexer.datasets.targets import KnownTargets, encode_targets
from indexer.training.interpretation.thresholds import Judged, choose_thresholds, counts_by_source
from indexer.training.model_card import write_model_card
from indexer.training.sources import load_to_learn

__all__ = ["refit_thresholds"]


def refit_thresholds(
    bundle: Bundle, datasets: Sequence[Path], output: Path, *, work: Path, device: str = "auto"
) -> Bundle:
    """The same bundle, but for the thresholds of possible and likely findings.

    Parameters
    ----------
    datasets
        What it learnt from: the parts `val`, as the bundle reads them in float32, decide; of the
        parts `train` the labels alone count.
    output
        Folder of the new bundle.
    work
        Holds decoded pictures.

    Raises
    ------
    TrainingError
        A data set is unusable.
    """
    (_, train), (examples, val) = (_part(datasets, p, bundle.labels) for p in ("train", "val"))
    settings = DecodeSettings(
        bundle.size, bundle.squash, b"training set", borders=bundle.borders, thumbnail=0
    )
    canvases = load_canvases(examples, settings, work)
    runtime = Predictor(bundle, Compute(device=device, precision="float32"))
    batches = range(0, len(canvases), runtime.batch_size)
    logits = np.concatenate(
        [runtime.encode(np.array(canvases[s : s + runtime.batch_size])).logits for s in batches]
    )[:, : len(bundle.findings)]
    chosen = choose_thresholds(bundle.findings, train, val, logits)
    descriptions = [Dataset.open(path).description for path in datasets]
    counts = counts_by_source(bundle.findings, chosen, val, logits, [d.name for d in descriptions])
    record = {**bundle.record, "thresholds": counts, "thresholds_refitted_of": bundle.hash}
    fresh = Bundle.save(
        output,
        replace(bundle, thresholds=chosen.possible, likely=chosen.likely, record=record),
        bundle.weights(),
    )
    write_model_card(fresh, descriptions)
    return fresh


def _part(datasets: Sequence[Path], part: str, labels: LabelSet) -> tuple[list[Example], Judged]:
    """The images of a part of all data sets, and what is known of the findings."""
    found = [load_to_learn(path, part, unlabelled=True) for path in datasets]
    examples = list(chain.from_iterable(found))
    known = KnownTargets(*encode_targets(examples, labels))
    source = np.repeat(np.arange(len(found)), [len(own) for own in found])
    return examples, Judged(known.columns(np.arange(len(labels.findings))), source)
