"""A training that is stopped at any of its steps goes on, and ends as one that never stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from indexer.cascade.bundle import Bundle
from indexer.paper.training.in_bundle import train_in_bundle
from indexer.training import rounds, sources, training
from indexer.training.cnn import member
from indexer.training.cnn.teachers import Teachers
from indexer.training.recipe import Recipe
from tests.pipeline.making import make_bundle
from tests.training.planted import planted_folder

pytestmark = pytest.mark.timeout(1500)

RECIPE = Recipe(
    name="stopped", size=64, crop=56, min_images=3, epochs=1, batch_size=16, annotator_epochs=1,
    dimensions=16, units=16, backbones=("test_efficientnet",), pretrained=False, feedback=0,
    text_weight=0.0,
)  # fmt: skip
#: By the name of a step, what does it: where it is looked up, and its name there.
STEPS: dict[str, tuple[Any, str]] = {
    "pictures are decoded": (sources, "load_canvases"),
    "teachers read": (Teachers, "chances"),
    "a CNN learns": (member, "augment"),
    "its pictures are read": (rounds, "read_kept"),
    "the RNN learns": (rounds, "train_annotator"),
    "thresholds are chosen": (rounds, "choose_thresholds"),
    "what is unusual is learnt": (rounds, "learn_unusual"),
    "the card is written": (training, "write_model_card"),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bundle]:
    """Train by one name: the same name again goes on."""
    root = tmp_path_factory.mktemp("stopped")
    folder = planted_folder(root / "set", {"train": 24, "val": 12})
    teacher = make_bundle(root / "teacher").path

    def trained(name: str) -> Bundle:
        return training.train(
            folder, root / name, RECIPE, work=root / f"{name}.work", device="cpu",
            teachers=[teacher], second=train_in_bundle,
        )  # fmt: skip

    return trained


@pytest.fixture(scope="module")
def whole(run: Callable[[str], Bundle]) -> str:
    """The hash of the bundle of a training that was never stopped."""
    return run("whole").hash


@pytest.mark.parametrize("step", STEPS)
def test_a_training_stopped_while(
    step: str,
    run: Callable[[str], Bundle],
    whole: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(*STEPS[step], stop)
        with pytest.raises(KeyboardInterrupt):
            run(step)
    assert run(step).hash == whole
