"""`cxrdex train` refuses what has no meaning before it reads anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run


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
