from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner

from cli.training.refit import main
from indexer.cascade.bundle import Bundle
from indexer.cascade.interpretation.unusual import UnusualScore
from indexer.training.interpretation import unusual
from indexer.training.interpretation.unusual import FilmStatistics, fit_score, fit_unusual, spoilt
from tests.pipeline.making import make_bundle
from tests.training.planted import planted_folder

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


def _statistics(count: int, seed: int, main: float = 1.0, wide: float = 1.0) -> FilmStatistics:
    """Of films that differ in ten directions, and hardly in any other.

    Parameters
    ----------
    main, wide
        How much more than others in these directions, and in all.
    """
    directions = np.random.default_rng(0).normal(size=(10, 514))
    rng = np.random.default_rng(seed + 1)
    statistics = rng.normal(0, main, (count, 10)) @ directions + rng.normal(0, 0.5, (count, 514))
    vectors = rng.normal(size=(count, 8))
    return FilmStatistics((wide * statistics).astype(np.float32), vectors.astype(np.float32))


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[FilmStatistics]], UnusualScore]:
    """Fits a score in no time: the network does not matter here."""
    monkeypatch.setattr(unusual, "_STEPS", 1)
    return lambda val: fit_score([_statistics(2000, 0)], [_statistics(50, 9)], val)


def test_what_is_far_off_where_films_differ_most_is_unusual(
    fitted: Callable[[list[FilmStatistics]], UnusualScore],
) -> None:
    score = fitted([_statistics(400, 1)])
    far, usual = _statistics(50, 2, main=5), _statistics(400, 3)
    limit = score.limits[1, 1]
    assert (score.parts(far.statistics, far.vectors)[:, 1] > limit).mean() > 0.9
    assert (score.parts(usual.statistics, usual.vectors)[:, 1] > limit).mean() < 0.05


def test_at_most_one_in_a_hundred_of_each_source_is_unusual(
    fitted: Callable[[list[FilmStatistics]], UnusualScore],
) -> None:
    val = [_statistics(1000, 1), _statistics(200, 2, wide=1.3)]
    score = fitted(val)
    for films in val:
        over = score.parts(films.statistics, films.vectors) > score.limits[:, 1]
        assert over.any(1).mean() <= 0.01


def test_a_bundle_learns_anew_what_is_unusual_and_nothing_else_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unusual, "_STEPS", 1)
    folder = planted_folder(tmp_path / "set", {"train": 12, "val": 6})
    before = make_bundle(tmp_path / "before")
    words = [folder, "--bundle", before.path, "--output", tmp_path / "new", "--device", "cpu"]
    result = CliRunner().invoke(main, ["unusual", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    fresh = Bundle.load(tmp_path / "new")
    assert fresh.hash in result.output
    assert {"noise", "inverted"} < set(fresh.record["unusual"])
    assert fresh.record["unusual_refitted_of"] == before.hash != fresh.hash
    weights = fresh.weights()
    assert UnusualScore.of(weights) is not None
    for name, tensor in before.weights().items():
        np.testing.assert_array_equal(weights[name], tensor, err_msg=name)
    assert fresh.thresholds == before.thresholds
    assert "MODEL_CARD.md" in {path.name for path in fresh.path.iterdir()}
