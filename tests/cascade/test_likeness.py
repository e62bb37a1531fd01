from __future__ import annotations

import numpy as np
import pytest

from indexer.cascade.interpretation.likeness import Likeness


def test_a_calibration_gives_the_shares_that_it_was_fitted_to() -> None:
    rng = np.random.default_rng(0)
    shares = rng.normal(0.5, 0.7, 40_000)
    truth = Likeness(1.8, -2.0)
    goals = rng.random(len(shares)) < [truth.chance(share) for share in shares]
    found = Likeness.fitted(shares, goals)
    assert found.slope == pytest.approx(1.8, abs=0.1)
    assert found.intercept == pytest.approx(-2.0, abs=0.1)
    assert Likeness.of(found.to_json()) == found


def test_it_keeps_every_order_and_stays_below_one() -> None:
    chances = [Likeness().chance(share) for share in np.linspace(-1, 4, 500)]
    assert chances == sorted(set(chances))
    assert 0 < chances[0] < chances[-1] < 1
