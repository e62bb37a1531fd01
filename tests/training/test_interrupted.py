"""A training that is stopped at any of its steps goes on, and ends as one that never stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from indexer.cascade.bundle import Bundle
from indexer.paper.recipe import named
from indexer.paper.training import in_bundle
from indexer.training import rounds, sources, training
from indexer.training.cnn import member
from indexer.training.cnn.teachers import Teachers
from indexer.training.interpretation import unusual
from indexer.training.recipe import Recipe
from tests.pipeline.making import make_bundle
from tests.training.planted import planted_folder

pytestmark = pytest.mark.timeout(1500)

RECIPE = Recipe(
    name="stopped", size=64, crop=56, min_images=3, epochs=1, batch_size=16, annotator_epochs=1,
    dimensions=16, units=16, backbones=("test_efficientnet",), pretrained=False, feedback=0,
    text_weight=0.0,
)  # fmt: skip
#: In their order, by the name of a step, what does it: where it is looked up, and its name there.
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


def test_a_training_stopped_at_each_step_ends_as_one_that_never_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is learnt of films that are none takes most of the time, and is stopped before it begins.
    monkeypatch.setattr(unusual, "_STEPS", 1)
    # The second cascade, which no step stops, is trained whole whenever a training comes to it.
    small = replace(named("bundle"), units=16, features=16, epochs=2, writer_epochs=2)
    monkeypatch.setattr(in_bundle, "named", lambda _: small)
    folder = planted_folder(tmp_path / "set", {"train": 24, "val": 12})
    teacher = make_bundle(tmp_path / "teacher").path

    def trained(name: str) -> Bundle:
        return training.train(
            folder, tmp_path / name, RECIPE, work=tmp_path / f"{name}.work", device="cpu",
            teachers=[teacher], second=in_bundle.train_in_bundle,
        )  # fmt: skip

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    for step in STEPS.values():
        with monkeypatch.context() as broken:
            broken.setattr(*step, stop)
            with pytest.raises(KeyboardInterrupt):
                trained("stopped")
    assert trained("stopped").hash == trained("whole").hash
