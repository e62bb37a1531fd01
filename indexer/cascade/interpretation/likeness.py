"""From the inner product of two search vectors to the chance that the pictures share a finding."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Likeness"]

_STEPS = 50
# A weak prior on slope and intercept: without it pairs that are told apart without an error, or
# vectors that hardly differ, have an endless slope.
_PRIOR = np.diag([1.0, 1e-3])
# Slopes outside of these say nothing of pictures, or would change an order.
_MIN_SLOPE, _MAX_SLOPE = 0.05, 50.0
# No intercept is farther from 0.
_MAX_INTERCEPT = 100.0


@dataclass(frozen=True, slots=True)
class Likeness:
    """A logistic calibration (Platt scaling) of how alike two pictures are.

    It grows with the inner product, so that it never changes an order, and is below 1 for any two
    pictures.

    Parameters
    ----------
    slope, intercept
        Of the logit, over the inner product of two search vectors as a share of the query's with
        itself. The defaults are those of the bundle that ships.
    """

    slope: float = 1.567
    intercept: float = -2.245

    @classmethod
    def of(cls, record: Mapping[str, Any] | None) -> Likeness:
        """As a bundle's record or a manifest has it; the defaults where it has none."""
        return cls(**record) if record else cls()

    @classmethod
    def fitted(
        cls, shares: npt.NDArray[np.floating], share_a_finding: npt.NDArray[Any]
    ) -> Likeness:
        """The calibration of some pairs: the likeliest, given that most slopes are small.

        It can be read by any bundle, however little these pairs tell.

        Parameters
        ----------
        shares
            Shape (n,): inner products as shares of the query's with itself.
        share_a_finding
            Shape (n,): whether people name a finding that both pictures have.
        """
        rows = np.stack([shares, np.ones_like(shares)], 1).astype(np.float64)
        goals, weights = share_a_finding.astype(np.float64), np.zeros(2)
        for _ in range(_STEPS):
            chances = 1 / (1 + np.exp(-rows @ weights))
            curvature = (rows * (chances * (1 - chances))[:, None]).T @ rows
            slant = rows.T @ (chances - goals) + _PRIOR @ weights
            weights -= np.linalg.solve(curvature + _PRIOR, slant)
        slope, intercept = (float(weight) for weight in weights)
        if not _MIN_SLOPE <= slope <= _MAX_SLOPE:
            slope = _MAX_SLOPE if slope > _MAX_SLOPE else _MIN_SLOPE
            intercept = _intercept(slope * rows[:, 0], goals)
        return cls(round(slope, 4), round(intercept, 4))

    def chance(self, share: float) -> float:
        """The chance that two pictures share a finding, 0..1."""
        return 1 / (1 + math.exp(-(self.slope * share + self.intercept)))

    def to_json(self) -> dict[str, float]:
        """A JSON object, from which `of` makes it again."""
        return asdict(self)


def _intercept(logits: npt.NDArray[np.float64], goals: npt.NDArray[np.float64]) -> float:
    """What brings the mean chance to the share of the goals, or near it where all are alike."""
    share = (goals.sum() + 0.5) / (len(goals) + 1)
    low, high = -_MAX_INTERCEPT, _MAX_INTERCEPT
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if (1 / (1 + np.exp(-logits - middle))).mean() < share:
            low = middle
        else:
            high = middle
    return low
