"""Every command with hardly any file descriptors or memory ends in an answer or in one line."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.exit_codes import exit_code
from cli.main import COMMANDS
from indexer import errors
from indexer.simulation import Simulation

ROOT = Path(__file__).parents[2]
CODES = {0, 2, 70, *(exit_code(getattr(errors, name)) for name in errors.__all__)}
# Of the process's address space: not enough to load a model.
MEMORY = 300_000_000


def arguments(simulation: Simulation, database: Path, home: Path) -> dict[str, list[str | Path]]:
    film = simulation.folder / next(
        f.name for f in simulation.files if f.outcome == "done" and f.name.endswith(".dcm")
    )
    given: dict[str, list[str | Path]] = {
        "index": [simulation.folder, "--database", home / "new"],
        "similar": [film, "--database", database],
        "search": ["effusion", "--database", database],
        "show": ["000000", "--database", database],
        "lexicon": ["PTX"],
        "mine": [simulation.folder],
        "train": [simulation.folder, "--output", home / "bundle"],
        "evaluate": [simulation.folder],
        "explain": [film, "--label", "opacity", "--to", home / "map.png"],
        "doctor": [],
        "demo": ["--folder", home / "demo", "--studies", "12"],
    }
    # What is left looks after a database.
    return {name: given.get(name, ["--database", database]) for name in COMMANDS}


def few_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))


def little_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


@pytest.mark.parametrize("limit", [few_descriptors, little_memory])
# A server ends when it is told to.
@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"serve"}))
def test_a_command(
    name: str, limit: Callable[[], None], simulation: Simulation, database: Path, tmp_path: Path
) -> None:
    words = arguments(simulation, database, tmp_path)[name]
    done = subprocess.run(
        [sys.executable, "-m", "cli", name, *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "OPENBLAS_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        preexec_fn=limit,
        check=False,
    )
    assert done.returncode in CODES, done.stderr
    assert "Traceback" not in done.stderr
    if done.returncode == 70:
        (line,) = (line for line in done.stderr.splitlines() if line.startswith("Error: "))
        report = next((tmp_path / "state").rglob("*.txt"))
        assert str(report) in line
        assert str(simulation.folder) not in report.read_text()


@pytest.mark.parametrize("name", ["index", "similar", "explain"])
def test_what_loads_the_cnn_says_that_memory_is_limited(
    name: str, simulation: Simulation, database: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "cli",
            name,
            *map(str, arguments(simulation, database, tmp_path)[name]),
        ],
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        preexec_fn=little_memory,
        check=False,
    )
    assert done.returncode == 16, done.stderr
    assert f"limited to {MEMORY >> 20} MiB" in done.stderr
    assert "ulimit -v unlimited" in done.stderr
