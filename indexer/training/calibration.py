"""From the CNN's scores to probabilities that can be believed, and to what is reported."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

__all__ = ["calibrate", "choose_thresholds"]

FloatArray = npt.NDArray[np.float32]
# How firmly a finding's scale is held to that of all findings, and its shift to none.
_SCALE_PRIOR, _SHIFT_PRIOR = 100.0, 5.0
# A threshold is fitted on val only where val has this many positives.
_MIN_POSITIVES = 5
# A finding may be reported so many times as often as people reported it.
_EXCESS = 2.0


def calibrate(goals: FloatArray, logits: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Scale and shift of each label's logit by which its probabilities are the frequencies.

    Platt's scaling (1999) with one prior over all labels, as most labels have few positives: a
    label's scale is drawn to the mean scale and its shift to zero.

    Parameters
    ----------
    goals, logits
        Shape (images, labels), of images that the CNN was not trained on.

    Returns
    -------
    scale, shift
        Shape (labels,) each: the probability is the sigmoid of ``scale * logit + shift``.
    """
    target, score = torch.from_numpy(goals), torch.from_numpy(logits)
    scale = torch.ones(goals.shape[1], requires_grad=True)
    shift = torch.zeros(goals.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([scale, shift], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimizer.zero_grad()
        value = nn.functional.binary_cross_entropy_with_logits(
            score * scale + shift, target, reduction="sum"
        )
        value = value + _SCALE_PRIOR * (scale - scale.mean()).square().sum()
        value = value + _SHIFT_PRIOR * shift.square().sum()
        value.backward()
        return float(value.detach())

    optimizer.step(loss)
    return scale.detach().clamp(min=0.05).numpy(), shift.detach().numpy()


def choose_thresholds(
    findings: Sequence[str], train_goals: FloatArray, goals: FloatArray, logits: FloatArray
) -> dict[str, float]:
    """Per finding, the threshold of the best F1 on val that reports it at most twice too often.

    "Too often" is by its share of train: F1 on a few positives alone would report a rare finding
    in most images. With too few positives, the one that reports it as often as it occurs in train.
    """
    from sklearn.metrics import precision_recall_curve

    chances = 1 / (1 + np.exp(-logits))
    thresholds = {}
    for column, name in enumerate(findings):
        share = float(train_goals[:, column].mean())
        threshold = float(np.quantile(chances[:, column], 1 - share))
        if goals[:, column].sum() >= _MIN_POSITIVES:
            precision, recall, limits = precision_recall_curve(goals[:, column], chances[:, column])
            f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
            lowest = np.quantile(chances[:, column], max(0.0, 1 - _EXCESS * share))
            f1 = np.where(limits >= lowest, f1[:-1], -1)
            threshold = float(limits[int(np.argmax(f1))])
        # Rounded down, so that the image it was fitted on stays over it.
        thresholds[name] = math.floor(threshold * 1e5) / 1e5
    return thresholds
