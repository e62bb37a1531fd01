"""Intervals of a score, by drawing studies anew."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["DRAWS", "draw_studies", "middle", "ratio", "weighted_mean", "weighted_median"]

DRAWS = 200

Floats = npt.NDArray[np.float64]


def draw_studies(
    studies: Sequence[str],
    strata: Sequence[Hashable] | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Floats:
    """How often each image comes in samples of studies, drawn with replacement.

    Images of one study say much the same, so they are drawn together (cluster bootstrap).

    Parameters
    ----------
    studies
        Per image, its study.
    strata
        Per image, its stratum: every sample has as many studies of a stratum as there are, so
        that none is missing. Studies of several strata are one more.

    Returns
    -------
    numpy.ndarray
        Shape (draws, images).
    """
    names, member = np.unique(np.array(studies), return_inverse=True)
    kinds: list[set[Hashable]] = [set() for _ in names]
    for study, kind in zip(member, strata or [None] * len(studies), strict=True):
        kinds[study].add(kind)
    groups: dict[frozenset[Hashable], list[int]] = {}
    for study, found in enumerate(kinds):
        groups.setdefault(frozenset(found), []).append(study)
    random = np.random.default_rng(seed)
    counts = np.zeros((draws, len(names)))
    for group in groups.values():
        size = len(group)
        counts[:, group] = random.multinomial(size, np.full(size, 1 / size), draws)
    weights: Floats = counts[:, member]
    return weights


def middle(values: npt.ArrayLike, digits: int = 4) -> list[float] | None:
    """The ends of the middle 95 % of what the samples gave; None where none gave a number."""
    kept = np.asarray(values, np.float64)
    kept = kept[~np.isnan(kept)]
    return np.quantile(kept, [0.025, 0.975]).round(digits).tolist() if len(kept) else None


def ratio(part: Floats, whole: Floats) -> Floats:
    """One divided by the other; NaN where the whole is nothing."""
    found: Floats = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)
    return found


def weighted_mean(values: npt.NDArray[np.floating], weights: Floats) -> Floats:
    """Per sample, the mean of the values that are numbers.

    Parameters
    ----------
    values
        Shape (n,).
    weights
        Shape (draws, n).
    """
    known = ~np.isnan(values)
    return ratio(weights[:, known] @ values[known], weights[:, known].sum(1))


def weighted_median(values: npt.NDArray[np.number], weights: Floats) -> Floats:
    """Per sample, the middle of the values; the mean of the two middle ones where there are two.

    Parameters
    ----------
    values
        Shape (n,).
    weights
        Shape (draws, n), none of them all zero.
    """
    order = np.argsort(values, kind="stable")
    below = weights[:, order].cumsum(1)
    # Weights are sums of fractions, so equal ones may differ by rounding.
    half, hair = below[:, -1:] / 2, 1e-9
    ends = [(below >= half - hair).argmax(1), (below > half + hair).argmax(1)]
    found: Floats = values[order][np.stack(ends)].mean(0)
    return found
