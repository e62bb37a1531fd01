"""Soft targets: the mean of what several bundles say of several views of a picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from indexer.cascade.reading import Predictor
from indexer.errors import TrainingError
from indexer.training.cnn.teachers import VIEWS, Teachers, views
from indexer.training.recipe import Recipe
from indexer.training.rounds import Training
from indexer.training.sources import LabelName, Sources
from tests.pipeline.making import SIZE, make_bundle
from tests.training.planted import planted_folder

NAMES: list[LabelName] = [("opacity", "left"), "unheard", "cardiomegaly"]


def _canvases(count: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 255, (count, SIZE, SIZE), dtype=np.uint8)


def test_the_mean_of_bundles_and_views(tmp_path: Path) -> None:
    bundles = [make_bundle(tmp_path / f"b{seed}", seed=seed) for seed in range(2)]
    canvases = _canvases(3)
    said = np.zeros((3, 2))
    for bundle in bundles:
        predictor = Predictor(bundle)
        for number in range(3):
            logits = predictor.encode(views(canvases, number)).logits
            said += 1 / (1 + np.exp(-logits[:, [3, 2]])) / 6
    teachers = Teachers(bundles, views=3)
    for time in ("read", "kept"):
        chances, scored = teachers.chances(canvases, NAMES, tmp_path / "work")
        assert scored.tolist() == [True, False, True], time
        np.testing.assert_allclose(chances[:, [0, 2]], said, atol=1e-5, err_msg=time)
    assert len(list((tmp_path / "work").glob("teacher-*.npy"))) == 6
    alone, _ = Teachers(bundles[:1]).chances(canvases, NAMES, tmp_path / "work")
    assert abs(alone - chances)[:, [0, 2]].max() > 1e-4


def test_a_teacher_counts_for_the_labels_that_it_scores_alone(tmp_path: Path) -> None:
    first, other = (make_bundle(tmp_path / f"b{seed}", seed=seed) for seed in range(2))
    renamed = replace(
        other, labels=replace(other.labels, findings=("normal", "opacity", "unheard"))
    )
    canvases = _canvases(2)
    both, one, two = (
        Teachers(some).chances(canvases, NAMES, tmp_path / f"work{len(some)}")[0]
        for some in ([first, renamed], [first], [renamed])
    )
    np.testing.assert_allclose(both[:, 0], (one[:, 0] + two[:, 0]) / 2, atol=1e-6)
    np.testing.assert_allclose(both[:, 1], two[:, 1], atol=1e-6)
    np.testing.assert_allclose(both[:, 2], one[:, 2], atol=1e-6)


def test_views_shift_and_enlarge_and_never_mirror() -> None:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    canvas = (rows + 2 * columns).astype(np.uint8)[None]
    seen = [views(canvas, number) for number in range(VIEWS)]
    assert seen[0] is canvas
    assert len({picture.tobytes() for picture in seen}) == VIEWS
    for picture in seen:
        assert picture.shape == canvas.shape
        assert (np.diff(picture[0].astype(int), axis=1) >= 0).all()
        assert (np.diff(picture[0].astype(int), axis=0) >= 0).all()
        assert abs(picture.astype(int) - canvas).max() <= 3 * 0.08 * SIZE + 1


def test_teachers_tell_what_nobody_says_without_a_start(tmp_path: Path) -> None:
    folder = planted_folder(tmp_path / "set", {"train": 24, "val": 12})
    recipe = Recipe(
        size=SIZE, min_images=3, backbones=("test_efficientnet",), pretrained=False,
        dimensions=16, text_weight=0.0, teacher_weight=0.25,
    )  # fmt: skip
    teachers = Teachers([make_bundle(tmp_path / f"b{seed}", seed=seed) for seed in range(2)])
    sources = Sources.load([folder], recipe, tmp_path / "work")
    # Nothing is known of the first image.
    sources.known["train"].known[0] = False
    device = torch.device("cpu")
    training = Training(recipe, sources, None, tmp_path / "work", device, teachers)
    columns = np.arange(sources.known["train"].targets.shape[1])
    _, _, taught, run = training.lesson(0, columns)
    chances, scored = teachers.chances(sources.canvases["train"], run.names, tmp_path / "work")
    assert scored.sum() > 0
    np.testing.assert_allclose(taught.weight[0], 0.25 * scored)
    np.testing.assert_allclose(taught.labels[0][scored], chances[0][scored])
    assert (taught.weight[1:] == 1).all()


def test_a_teacher_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="reads pictures of 64 pixels, the recipe of 256"):
        Teachers([make_bundle(tmp_path)]).check(256)
