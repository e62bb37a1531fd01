"""From the CNN's scores to probabilities that can be believed, and to what is reported."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from indexer.datasets.targets import PRESENT, KnownTargets

__all__ = ["calibrate", "choose_likely", "choose_thresholds", "failings"]

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
# Weight of the priors: that a finding's scale is the one of all findings, and that its shift is 0.
_SCALE_PRIOR, _SHIFT_PRIOR = 100.0, 5.0
# Findings with fewer positives in val than this get no threshold of their own.
_MIN_POSITIVES = 5
# A finding is predicted in at most this many times as many images as people named it in.
_EXCESS = 2.0
# A finding is possible where it is at least this many times as frequent as in all images.
_ABOVE_CHANCE = 2.0
# A finding is likely where at least this share of predictions is right, with at least this many
# right ones.
_LIKELY, _MIN_HITS = 0.5, 3


def calibrate(
    goals: FloatArray, logits: FloatArray, known: BoolArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Scale and shift of each label's logit by which its probabilities are the frequencies.

    Platt's scaling (1999) with one prior over all labels, as most labels have few positives: a
    label's scale is drawn to the mean scale and its shift to zero.

    Parameters
    ----------
    goals, logits
        Shape (images, labels), of images that the CNN was not trained on.
    known
        The same shape: where goals say anything; None for everywhere.

    Returns
    -------
    scale, shift
        Shape (labels,) each: the probability is the sigmoid of ``scale * logit + shift``.
    """
    target, score = torch.from_numpy(goals), torch.from_numpy(logits)
    seen = None if known is None else torch.from_numpy(known).float()
    scale = torch.ones(goals.shape[1], requires_grad=True)
    shift = torch.zeros(goals.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([scale, shift], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimizer.zero_grad()
        value = nn.functional.binary_cross_entropy_with_logits(
            score * scale + shift, target, seen, reduction="sum"
        )
        value = value + _SCALE_PRIOR * (scale - scale.mean()).square().sum()
        value = value + _SHIFT_PRIOR * shift.square().sum()
        value.backward()
        return float(value.detach())

    optimizer.step(loss)
    return scale.detach().clamp(min=0.05).numpy(), shift.detach().numpy()


def choose_thresholds(
    findings: Sequence[str], train: KnownTargets, val: KnownTargets, logits: FloatArray
) -> dict[str, float]:
    """Per finding, from where on it is possible: the best F1 on val of those thresholds that report
    it at most twice too often and, where there are any, are right at least twice as often as
    chance.

    "Too often" is by its share of train: F1 on a few positives alone would report a rare finding
    in most images. With too few positives, the one that reports it as often as it occurs in train.
    """
    from sklearn.metrics import precision_recall_curve

    chances = 1 / (1 + np.exp(-logits))
    thresholds = {}
    for column, name in enumerate(findings):
        taught, seen = train.known[:, column], val.known[:, column]
        share = float((train.targets[taught, column] > PRESENT).mean()) if taught.any() else 0.0
        own = chances[seen, column] if seen.any() else chances[:, column]
        threshold = float(np.quantile(own, 1 - share))
        there = val.targets[seen, column] > PRESENT
        if there.sum() >= _MIN_POSITIVES:
            precision, recall, limits = precision_recall_curve(there, own)
            f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
            lowest = np.quantile(own, max(0.0, 1 - _EXCESS * share))
            allowed = limits >= lowest
            clear = allowed & (precision[:-1] >= _ABOVE_CHANCE * there.mean())
            f1 = np.where(clear if clear.any() else allowed, f1[:-1], -1)
            threshold = float(limits[int(np.argmax(f1))])
        # Rounded down, so that the image it was fitted on stays over it.
        thresholds[name] = math.floor(threshold * 1e5) / 1e5
    return thresholds


def choose_likely(
    findings: Sequence[str], val: KnownTargets, logits: FloatArray, source: npt.NDArray[np.int64]
) -> dict[str, float]:
    """Per finding, from where on it is likely: at least every second time it is there.

    The lowest threshold over which precision stays at least one half on the val part of every data
    set that has enough positives of it; a finding without such a threshold is not named, and is
    only ever possible. Precision is counted as if one more had been wrong, as a few hits say
    little.
    """
    chances = 1 / (1 + np.exp(-logits))
    likely = {}
    for column, name in enumerate(findings):
        lowest = []
        for number in np.unique(source):
            rows = (source == number) & val.known[:, column]
            there = val.targets[rows, column] > PRESENT
            if there.sum() >= _MIN_POSITIVES:
                lowest.append(_half_right(chances[rows, column], there))
        if lowest and max(lowest) < 1:
            likely[name] = math.floor(max(lowest) * 1e5) / 1e5
    return likely


def _half_right(scores: FloatArray, there: BoolArray) -> float:
    """The lowest threshold of a precision of one half; 1 where there is none."""
    order = np.argsort(-scores, kind="stable")
    hits = there[order].cumsum()
    precision = hits / (np.arange(1, len(order) + 1) + 1)
    # A threshold cannot separate equal probabilities.
    last = np.append(np.diff(scores[order]) < 0, True)
    good = np.flatnonzero((precision >= _LIKELY) & (hits >= _MIN_HITS) & last)
    return float(scores[order][good[-1]]) if len(good) else 1.0


def failings(
    thresholds: Mapping[str, float],
    val: KnownTargets,
    scores: FloatArray,
    views: Sequence[str | None],
    lateral: FloatArray,
) -> list[str]:
    """What a trained cascade does not tell apart on val, in sentences; empty where it does.

    Parameters
    ----------
    thresholds
        Of the findings, in the order of the columns.
    val
        What is known of them.
    scores
        Calibrated logits, shape (n, findings).
    views
        Of each image ``"frontal"``, ``"lateral"`` or None.
    lateral
        Logits of a lateral view, shape (n,).
    """
    found = []
    for predicted, wrong in ((lateral > 0, "frontal"), (lateral <= 0, "lateral")):
        count = sum(view == wrong for view in views)
        if count and predicted.all():
            other = "lateral" if wrong == "frontal" else "frontal"
            found.append(f"it calls every val image {other}, of which {count} are {wrong}")
    there = val.targets > PRESENT
    both = [bool(0 < t[k].mean() < 1) for t, k in zip(there.T, val.known.T, strict=True) if k.any()]
    if sum(both) < 2:
        found.append(
            f"of {len(thresholds)} findings only {sum(both)} is known both to be there and not "
            "to be there in val images, so hardly anything can be learned or judged"
        )
    limits = np.array([*thresholds.values()])
    reported = 1 / (1 + np.exp(-scores.astype(np.float64))) >= limits
    if len(reported) > 1 and (reported == reported[0]).all():
        names = ", ".join(n for n, on in zip(thresholds, reported[0], strict=True) if on)
        found.append(f"it says the same of every val image: {names or 'nothing'}")
    return found
