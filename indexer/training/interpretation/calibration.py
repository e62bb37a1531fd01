"""From the CNN's scores to probabilities that can be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from indexer.datasets.targets import PRESENT, KnownTargets

__all__ = ["calibrate", "failings"]

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
# Weight of the priors: that a finding's scale is the one of all findings, and that its shift is 0.
_SCALE_PRIOR, _SHIFT_PRIOR = 100.0, 5.0


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
