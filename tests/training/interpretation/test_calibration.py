from __future__ import annotations

import numpy as np

from indexer.datasets.targets import KnownTargets
from indexer.training.interpretation.calibration import calibrate, failings

RNG = np.random.default_rng(0)


def _known(targets: np.ndarray) -> KnownTargets:
    return KnownTargets(targets, np.ones(targets.shape, bool))


def _sample(scale: float, shift: float, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and truths whose chance is the sigmoid of ``scale * logit + shift``."""
    logits = RNG.normal(-1, 1.5, count)
    chance = 1 / (1 + np.exp(-(scale * logits + shift)))
    return logits.astype(np.float32), (RNG.random(count) < chance).astype(np.float32)


def test_probabilities_become_frequencies() -> None:
    columns = [_sample(0.5, 0.3), _sample(0.5, -0.6)]
    logits, goals = (np.stack(part, 1) for part in zip(*columns, strict=True))
    scale, shift = calibrate(goals, logits)
    np.testing.assert_allclose(scale, 0.5, atol=0.06)
    np.testing.assert_allclose(shift, [0.3, -0.6], atol=0.12)


def test_a_label_without_positives_borrows_the_scale_of_the_others() -> None:
    logits, goals = _sample(0.5, 0.0)
    few = logits[:50]
    goals = np.stack([goals, np.zeros_like(goals)], 1)
    logits = np.stack([logits, np.tile(few, len(logits) // 50)], 1)
    scale, shift = calibrate(goals, logits)
    assert 0.3 < scale[1] < 1
    assert shift[1] < -1
    assert np.isfinite([scale, shift]).all()


def test_calibration_keeps_the_order_of_images() -> None:
    logits, goals = _sample(-1.0, 0.0)
    scale, _ = calibrate(goals[:, None], logits[:, None])
    assert scale[0] > 0


def test_what_is_not_known_changes_no_calibration() -> None:
    logits, goals = _sample(0.5, 0.3)
    known = np.ones((len(goals), 1), bool)
    known[::2] = False
    spoilt = goals.copy()
    spoilt[::2] = 1 - spoilt[::2]
    one, other = (calibrate(g[:, None], logits[:, None], known) for g in (goals, spoilt))
    np.testing.assert_array_equal(one, other)


def test_what_a_training_failed_at_is_said() -> None:
    rng = np.random.default_rng(0)
    there = rng.random((40, 3)) < 0.4
    known = KnownTargets(there.astype(np.float32), np.ones_like(there))
    thresholds = {"normal": 0.5, "opacity": 0.5, "nodule": 0.5}
    scores = np.where(there, 2, -2).astype(np.float32)
    lateral = np.where(np.arange(40) % 2, 3, -3).astype(np.float32)
    views = ["lateral" if value > 0 else "frontal" for value in lateral]
    assert failings(thresholds, known, scores, views, lateral) == []
    assert failings(thresholds, known, scores, [None] * 40, abs(lateral)) == []
    (failing,) = failings(thresholds, known, scores, views, abs(lateral))
    assert failing == "it calls every val image lateral, of which 20 are frontal"
    (failing,) = failings(thresholds, known, scores, views, -abs(lateral))
    assert failing == "it calls every val image frontal, of which 20 are lateral"
    (failing,) = failings(thresholds, known, np.full_like(scores, -9), views, lateral)
    assert failing == "it says the same of every val image: nothing"
    one = KnownTargets(np.ones_like(known.targets), known.known)
    (first, second) = failings(thresholds, one, np.full_like(scores, 9), views, lateral)
    assert first.startswith("of 3 findings only 0 is known both")
    assert second == "it says the same of every val image: normal, opacity, nodule"
