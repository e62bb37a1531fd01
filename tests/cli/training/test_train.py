"""`cxrdex train` as a user runs it; what has no meaning is refused before anything is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.cascade.bundle import Bundle
from tests.cli.conftest import Run

#: What is written in a table of annotations, and the finding that it is.
TERMS = (("normal", "normal"), ("Opacity/lung/left", "opacity"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rounds", "9"], "--rounds 9 needs 9 CNNs"),
        (["--rounds", "2", "--backbone", "densenet121"], "--rounds 2 needs 2 CNNs"),
        (["--epochs", "0"], "--epochs 0 needs --start"),
        (["--recipe", "paper-gru", "--start", "b"], "--start has no meaning for the recipe"),
        (["--recipe", "paper-gru", "--teacher", "b"], "--teacher has no meaning for the recipe"),
        (["--teacher-views", "2"], "--teacher-views needs --teacher or --start"),
        (
            ["--start", "b", "--epochs", "0", "--teacher", "b"],
            "--teacher and --teacher-views have no meaning with --epochs 0",
        ),
        (["--jpeg"], "--jpeg needs --appearance"),
        (["--leave-out", "flips"], "'flips' is not one of 'gamma'"),
        (["--recipe", "bundle", "--leave-out", "noise"], "--leave-out has no meaning for"),
        (["--full-schedule"], "--full-schedule has no meaning for the recipe product"),
        (
            ["--recipe", "paper-gru", "--min-images", "5"],
            "--min-images has no meaning for the recipe paper-gru",
        ),
        (["--recipe", "paper"], "'paper' is not one of 'product'"),
        (
            ["--recipe", "bundle-gru-no-feedback", "--rounds", "2"],
            "--rounds has no meaning for the recipe bundle-gru-no-feedback",
        ),
        (["--batch-size", "0"], "0 is not in the range x>=2"),
        (["--limit", "-5"], "-5 is not in the range x>=1"),
        (["--clusters", "1"], "1 is not in the range x>=2"),
    ],
)
def test_options_that_do_not_go_together(
    run: Run, tmp_path: Path, words: list[str], message: str
) -> None:
    result = run("train", tmp_path, "--output", tmp_path / "out", *words)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_no_data_set(run: Run, tmp_path: Path) -> None:
    result = run("train", tmp_path, "--output", tmp_path / "out")
    assert result.exit_code not in (0, 1, 2)
    assert "is no data set that is known" in result.stderr


@pytest.mark.timeout(1500)
def test_a_hospital_trains_on_its_own_table_by_one_command(run: Run, tmp_path: Path) -> None:
    films = tmp_path / "films"
    (films / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = ["image_id,annotation,patient"]
    for number in range(60):
        name, (term, *_) = f"film{number}", TERMS[number % len(TERMS)]
        grey = rng.normal(60 + 80 * (term != "normal"), 10, (64, 64)).clip(0, 255)
        Image.fromarray(grey.astype(np.uint8)).save(films / "images" / f"{name}.png")
        rows.append(f"{name},{term},{number // 2}")
    (films / "annotations.csv").write_text("\n".join(rows) + "\n")
    result = run(
        "train", films, "--output", tmp_path / "st-marys", "--epochs", "1", "--no-pretrained",
        "--backbone", "test_efficientnet", "--min-images", "5", "--device", "cpu", "--rounds", "0",
        "--appearance", "--jpeg", "--leave-out", "noise", "--leave-out", "contrast",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "bundle st-marys," in result.stdout
    bundle = Bundle.load(tmp_path / "st-marys")
    assert bundle.name == "st-marys", "not the name of the bundle that ships"
    recipe = bundle.record["recipe"]
    assert (recipe["strong"], recipe["jpeg"]) == (True, True)
    assert recipe["left_out"] == ["noise", "contrast"]
    assert set(bundle.findings) == {disease for _, disease in TERMS}
    card = (tmp_path / "st-marys" / "MODEL_CARD.md").read_text()
    assert card.startswith("# Model card: st-marys\n")
    for text in (
        bundle.hash,
        "| annotated pictures |",
        "epochs 1",
        "| opacity |",
        "random weights",
    ):
        assert text in card
    assert "film1" not in card, "a card names no film"
