"""The recipes of the paper from a data set on disk, as `cxrdex train` runs them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cli.main import cxrdex
from indexer.archive.decoding import DecodeSettings
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.reading import Predictor
from indexer.datasets.dataset import load_canvases, load_examples
from indexer.paper.cases import load_cases
from indexer.paper.model import PaperModel
from indexer.paper.recipe import RECIPES, named
from tests.training.planted import planted_folder

# The schedule alone is smaller, and the networks that take long.
SMALL = {
    "paper-lstm": {"backbone": "test_resnet", "size": 64, "crop": 56, "units": 32},
    "bundle-gru": {},
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted_folder(tmp_path_factory.mktemp("data") / "set", {"train": 60, "val": 24})


@pytest.mark.parametrize("name", SMALL)
def test_a_recipe_runs_from_the_command_line(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle: Bundle, name: str
) -> None:
    small = replace(RECIPES[name], writer_epochs=2, **SMALL[name])  # type: ignore[arg-type]
    monkeypatch.setitem(RECIPES, name, small)
    words = ["--recipe", name, "--epochs", "2", "--device", "cpu", "--limit", "48"]
    places = ["--output", str(tmp_path / "out"), "--report", str(tmp_path / "report.md")]
    result = CliRunner().invoke(
        cxrdex, ["train", str(dataset), *places, *words], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    cell = named(name).cells[0]
    assert f"  {cell}/0: accuracy " in result.stdout
    assert f"  {cell}/1: accuracy " in result.stdout
    assert "always normal" in (tmp_path / "report.md").read_text()
    model = PaperModel.load(tmp_path / "out")
    assert set(model.variants) == {f"{cell}/0", f"{cell}/1"}
    assert model.bundle == (bundle.hash if small.frozen else None)
    # Of 48 images six have a second finding, and of 24 three.
    limit = 42 if small.frozen else 48
    assert model.record["images"] == {"train": limit, "val": 21}
    val = load_cases(dataset, "val", small, work=tmp_path / "val", device="cpu")
    scores = model.record["val"]["variants"][f"{cell}/1"]
    right = [
        written[0] == true[0]
        for written, true in zip(
            model.predict(val.inputs)[f"{cell}/1"], val.annotations, strict=True
        )
    ]
    assert scores["accuracy"] == pytest.approx(100 * np.mean(right), abs=5)
    json.dumps(model.description())


def test_data_sets_of_one_size_may_share_a_work_folder(
    dataset: Path, tmp_path: Path, bundle: Bundle
) -> None:
    other = planted_folder(tmp_path / "other", {"train": 9, "val": 9}, seed=5)
    recipe = named("bundle-gru")
    runtime = Predictor(bundle, Compute(device="cpu"))
    settings = DecodeSettings(bundle.size, bundle.squash, key=b"training set", thumbnail=0)
    for folder in (dataset, other, dataset):
        cases = load_cases(folder, "val", recipe, work=tmp_path, device="cpu", limit=8)
        pictures = load_canvases(load_examples(folder, "val")[:8], settings, tmp_path / "own")
        own = np.stack([reading.embedding for reading in runtime.read(np.array(pictures))])
        assert cases.other_inputs is not None
        np.testing.assert_allclose(
            np.concatenate([cases.inputs, cases.other_inputs]), own, atol=1e-4
        )
