"""The command as a user runs it, and a database it has made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import CliRunner, Result

from cli.main import cxrdex
from indexer.simulation import Simulation

Run: TypeAlias = Callable[..., Result]


def _run(*words: str | Path) -> Result:
    result = CliRunner().invoke(cxrdex, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="session")
def run() -> Run:
    """Run a command in this process."""
    return _run


@pytest.fixture(scope="session")
def ask() -> Callable[..., Any]:
    """Run a query command and parse its JSON."""

    def command(*words: str | Path) -> Any:
        result = _run(*words, "--format", "json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    return command


@pytest.fixture(scope="session")
def database(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of the simulated archive."""
    folder = tmp_path_factory.mktemp("made") / "database"
    result = _run("index", simulation.folder, "--reports", simulation.reports, "--database", folder)
    assert result.exit_code == 0, result.stderr
    return folder
