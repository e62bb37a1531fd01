"""Areas under the ROC curve, by data set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from indexer.datasets.targets import PRESENT, KnownTargets

__all__ = ["MIN_POSITIVES", "areas_by_source", "mean_area", "mean_auc"]

_FloatArray = npt.NDArray[np.float32]
#: A mean is over the labels that have at least this many positives.
MIN_POSITIVES = 10


def areas_by_source(
    goals: KnownTargets, scores: _FloatArray, source: npt.NDArray[np.int64], names: Sequence[str]
) -> dict[str, float]:
    """The mean AUC of each data set that has a finding of at least 10 positives."""
    found = {}
    for number, name in enumerate(names):
        own = source == number
        area = mean_auc(goals.rows(own), scores[own])
        if not math.isnan(area):
            found[name] = area
    return found


def mean_area(areas: Mapping[str, float]) -> float:
    """The mean over data sets; not a number where none has one."""
    return round(float(np.mean(list(areas.values()))), 4) if areas else math.nan


def mean_auc(goals: KnownTargets, scores: _FloatArray) -> float:
    """Mean area under the ROC curve over the labels of at least 10 positives, of what is known;
    not a number where there is none."""
    from sklearn.metrics import roc_auc_score

    there = (goals.targets > PRESENT) & goals.known
    positives = there.sum(0)
    columns = (positives >= MIN_POSITIVES) & (positives < goals.known.sum(0))
    areas = [
        roc_auc_score(there[rows, c], scores[rows, c])
        for c, rows in enumerate(goals.known.T)
        if columns[c]
    ]
    return round(float(np.mean(areas)), 4) if areas else math.nan
