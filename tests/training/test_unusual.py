from __future__ import annotations

import numpy as np
import numpy.typing as npt

from indexer.cascade.interpretation.unusual import UnusualScore
from indexer.training.unusual import fit_unusual, spoilt

SIZE = 64


def _films(count: int, seed: int) -> npt.NDArray[np.uint8]:
    """A dark pair of fields in bright surroundings, wider below, a bright middle on one side."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    films = np.empty((count, SIZE, SIZE), np.uint8)
    for film in films:
        left, right = rng.normal(0.3, 0.02), rng.normal(0.7, 0.02)
        width = 0.08 + 0.12 * y
        field = np.minimum(abs(x - left), abs(x - right)) < width
        heart = (x - 0.55) ** 2 + (y - 0.7) ** 2 < rng.normal(0.03, 0.004)
        grey = 190 - 120 * (field & (y > 0.15) & (y < 0.85)) + 60 * heart
        film[:] = (grey + rng.normal(0, 8, grey.shape)).clip(0, 255)
    return films


def _embed(canvases: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    small = canvases[:, ::16, ::16].reshape(len(canvases), -1).astype(np.float32)
    unit: npt.NDArray[np.float32] = small / np.linalg.norm(small, axis=1, keepdims=True).clip(1)
    return unit


def test_films_are_told_from_what_is_none() -> None:
    train, val = [_films(200, 0), _films(80, 1)], [_films(100, 2), _films(100, 3)]
    score = fit_unusual(train, val, _embed)
    halved = {k: v.astype(np.float16) for k, v in score.tensors().items()}
    kept = UnusualScore.of(halved)
    assert kept is not None
    films = np.concatenate(val)
    assert (kept(films, _embed(films)) > 0.5).mean() <= 0.01
    unseen = _films(100, 4)
    for spoil in spoilt():
        bad = spoil(unseen, np.random.default_rng(5))
        assert (kept(bad, _embed(bad)) > 0.5).mean() >= 0.9, spoil.__name__
    assert UnusualScore.of({"encoder.x": np.zeros(1)}) is None
