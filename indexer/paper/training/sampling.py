"""Which images an epoch shows: data-dropout of the normal ones, repetition of the others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["KEPT_NORMALS", "draw_epoch", "normal_share"]

# Normals kept per image of the largest diseased label (released code of Shin et al.).
KEPT_NORMALS = 4


def normal_share(labels: npt.NDArray[np.int64], normal: int) -> float:
    """Probability with which data-dropout keeps a normal image."""
    counts = np.bincount(labels)
    normals = int(counts[normal]) if normal < len(counts) else 0
    counts[normal : normal + 1] = 0
    largest = int(counts.max(initial=0))
    return min(1.0, KEPT_NORMALS * largest / normals) if normals and largest else 1.0


def draw_epoch(
    labels: npt.NDArray[np.int64],
    normal: int,
    *,
    seed: int,
    epoch: int,
    data_dropout: bool = True,
    per_label: int | None = None,
) -> npt.NDArray[np.int64]:
    """Row numbers of one epoch, in random order.

    Parameters
    ----------
    labels
        Shape (images,): label of each image.
    normal
        The label of normal images.
    seed, epoch
        The same two draw the same rows, so that a resumed training sees what an unbroken one
        would have.
    data_dropout
        Keep each normal image with probability `normal_share` and repeat the images of every
        other label up to the number kept; without it every image comes once.
    per_label
        Repeat, and keep normals, up to this number only: a short epoch.
    """
    rng = np.random.default_rng([seed, epoch])
    if not data_dropout:
        return rng.permutation(len(labels)).astype(np.int64)
    kept = np.flatnonzero(labels == normal)
    kept = rng.permutation(kept[rng.random(len(kept)) < normal_share(labels, normal)])
    others = [label for label in np.unique(labels) if label != normal]
    largest = max((int((labels == label).sum()) for label in others), default=0)
    goal = max(len(kept), largest)
    if per_label is not None:
        goal = min(goal, per_label)
    parts = [kept[:goal]]
    for label in others:
        rows = np.flatnonzero(labels == label)
        # Whole shuffles one after another: no image comes twice before all came once.
        shuffles = [rng.permutation(rows) for _ in range(-(-goal // len(rows)))]
        parts.append(np.concatenate(shuffles)[:goal])
    return rng.permutation(np.concatenate(parts)).astype(np.int64)
