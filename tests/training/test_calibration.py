from __future__ import annotations

import numpy as np

from indexer.training.calibration import calibrate, choose_thresholds

RNG = np.random.default_rng(0)


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


def test_a_threshold_of_the_best_f1_and_one_of_the_usual_share() -> None:
    logits = np.linspace(-4, 4, 200, dtype=np.float32)[:, None].repeat(2, 1)
    goals = np.zeros((200, 2), np.float32)
    goals[150:, 0] = 1
    goals[-1, 1] = 1
    train = np.zeros((100, 2), np.float32)
    train[:25, 0] = train[:10, 1] = 1
    thresholds = choose_thresholds(("often", "rare"), train, goals, logits)
    reported = 1 / (1 + np.exp(-logits)) >= np.array([thresholds["often"], thresholds["rare"]])
    assert reported[:, 0].sum() == 50
    assert reported[:, 1].sum() == 20
