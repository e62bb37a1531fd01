"""Intervals of a score, by drawing studies anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["interval"]

Rows = npt.NDArray[np.intp]


def interval(
    score: Callable[[Rows], float], studies: Sequence[str], draws: int = 200, seed: int = 0
) -> tuple[float, float] | None:
    """The middle 95 % of a score over samples of studies, drawn with replacement.

    Images of one study say much the same, so they are drawn together (cluster bootstrap).

    Parameters
    ----------
    score
        Gives the score of some rows; NaN where they have none.
    studies
        Per row, its study.

    Returns
    -------
    tuple or None
        Lower and upper end; None where no sample has a score.
    """
    names, member = np.unique(np.array(studies), return_inverse=True)
    order = np.argsort(member, kind="stable")
    rows_of = np.split(order, np.cumsum(np.bincount(member))[:-1])
    random = np.random.default_rng(seed)
    samples = (random.integers(0, len(names), len(names)) for _ in range(draws))
    values = [score(np.concatenate([rows_of[s] for s in sample])) for sample in samples]
    kept = [value for value in values if not np.isnan(value)]
    if not kept:
        return None
    low, high = np.quantile(kept, [0.025, 0.975])
    return round(float(low), 4), round(float(high), 4)
