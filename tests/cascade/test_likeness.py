from __future__ import annotations

import numpy as np
import numpy.typing as npt
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


def _pairs(kind: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Shares of 600 pairs, and whether each shares a finding."""
    rng = np.random.default_rng(0)
    goals = rng.random(600) < 0.4
    shares = {
        "vectors that hardly differ": 1 + rng.normal(0, 1e-5, 600) + 1e-5 * goals,
        "told apart without an error": np.where(goals, 0.52, 0.5),
        "the wrong way round": np.where(goals, 0.0, 1.0) + rng.normal(0, 0.1, 600),
        "all share one": rng.normal(0.5, 0.2, 600),
    }[kind]
    return shares, goals | (kind == "all share one")


@pytest.mark.parametrize(
    "kind",
    [
        "vectors that hardly differ",
        "told apart without an error",
        "the wrong way round",
        "all share one",
    ],
)
def test_pairs_that_tell_little_give_a_calibration_that_any_bundle_can_hold(kind: str) -> None:
    shares, goals = _pairs(kind)
    found = Likeness.fitted(shares, goals)
    assert 0 < found.slope <= 100, "it grows with the likeness"
    assert abs(found.intercept) <= 100
    chances = [found.chance(share) for share in shares]
    assert np.mean(chances) == pytest.approx(goals.mean(), abs=0.02)
