"""`-v`, `--log-file`, and what becomes of an error that nobody foresaw."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import click
import pytest
from click.testing import CliRunner, Result

from cli import crash
from cli.main import COMMANDS, cxrdex
from indexer.simulation import Simulation

Run: TypeAlias = Callable[..., Result]
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ [a-z_.]+: .+")


def test_every_command_has_the_options() -> None:
    for name in COMMANDS:
        command = cxrdex.get_command(click.Context(cxrdex), name)
        assert command is not None
        assert {"verbose", "log_file"} <= {str(parameter.name) for parameter in command.params}


@pytest.mark.parametrize("before", [True, False], ids=["of the group", "of the command"])
def test_lines_have_times(run: Run, database: Path, tmp_path: Path, before: bool) -> None:
    options = ["-v", "--log-file", tmp_path / "log"]
    words = ["status", "--database", database]
    result = run(*options, *words) if before else run(*words, *options)
    assert result.exit_code == 0
    lines = (tmp_path / "log").read_text().splitlines()
    assert all(map(LINE.fullmatch, lines))
    assert "status begins" in lines[0]
    assert "status ends after" in lines[-1]
    assert result.stderr.splitlines() == lines


def test_without_options_nothing_is_logged(run: Run, database: Path, tmp_path: Path) -> None:
    run("status", "--database", database, "--log-file", tmp_path / "log")
    size = (tmp_path / "log").stat().st_size
    result = run("status", "--database", database)
    assert result.stderr == ""
    assert (tmp_path / "log").stat().st_size == size > 0
    assert not logging.getLogger("indexer").handlers


def test_a_log_of_a_run_holds_nothing_of_the_archive(
    run: Run, simulation: Simulation, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    words = ("--reports", simulation.reports, "--database", tmp_path / "db", "-vv")
    result = run("index", simulation.folder, *words, "--log-file", log)
    assert result.exit_code == 0
    text = log.read_text()
    assert "files, " in text
    words_of_paths = {part for file in simulation.files for part in Path(file.name).parts}
    assert not [word for word in words_of_paths if len(word) > 4 and word in text]
    assert str(simulation.folder) not in text


def test_a_log_file_that_cannot_be_written(run: Run, database: Path, tmp_path: Path) -> None:
    result = run("status", "--database", database, "--log-file", tmp_path / "no" / "log")
    assert result.exit_code == 2
    assert "No such file" in result.stderr


# --- errors that nobody foresaw ---


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("platformdirs.user_log_path", lambda _: tmp_path / "reports")
    return tmp_path / "reports"


def broken(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Result:
    def fail(*_: object) -> None:
        secret = "Doe^Jane"  # noqa: F841 - a value in a frame
        raise error

    monkeypatch.setattr("indexer.database.reader.DatabaseReader.open", fail)
    return CliRunner().invoke(cxrdex, ["status", "--database", "/archive/Doe^Jane"])


def test_one_line_and_a_report(monkeypatch: pytest.MonkeyPatch, reports: Path) -> None:
    error = KeyError("Doe^Jane")
    error.__cause__ = ValueError("born 19410312")
    result = broken(monkeypatch, error)
    assert result.exit_code == crash.EXIT_CODE == 70
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("Error: status came to an unforeseen end: KeyError")
    (report,) = reports.iterdir()
    assert str(report) in result.stderr
    assert report.stat().st_mode & 0o777 == 0o600
    text = report.read_text()
    assert "builtins.KeyError" in text
    assert "builtins.ValueError" in text
    assert "cli/indexing/status.py:" in text
    assert "numpy: " in text
    for secret in ("/archive", "born", "19410312"):
        assert secret not in text + result.stderr
    assert "Doe^Jane" not in result.stderr
    assert "Doe^Jane" not in text


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(24, "Too many open files", "x"), "Too many open files: x"),
        (MemoryError(), "the memory is full"),
        (type("PanicException", (BaseException,), {})("index 7"), "PanicException"),
    ],
)
def test_kinds_of_ends(
    monkeypatch: pytest.MonkeyPatch, reports: Path, error: BaseException, message: str
) -> None:
    result = broken(monkeypatch, error)
    assert result.exit_code == 70
    assert message in result.stderr
    assert len(list(reports.iterdir())) == 1


def test_without_a_place_for_the_report(
    monkeypatch: pytest.MonkeyPatch, reports: Path, tmp_path: Path
) -> None:
    reports.write_text("in the way")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "reports" / "none"))
    result = broken(monkeypatch, ZeroDivisionError())
    assert result.exit_code == 70
    assert "no report of it could be written" in result.stderr


def test_an_exit_is_none(monkeypatch: pytest.MonkeyPatch, reports: Path) -> None:
    assert broken(monkeypatch, SystemExit(3)).exit_code == 3
    assert broken(monkeypatch, click.exceptions.Exit(5)).exit_code == 5
    assert not reports.exists()


def test_a_closed_pipe_is_none(database: Path, tmp_path: Path) -> None:
    command = (
        f"{sys.executable} -m cli search '*' --limit 10000 --format json --database {database}"
    )
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -c 10; echo ${{PIPESTATUS[0]}}"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert not list(tmp_path.rglob("*.txt"))
