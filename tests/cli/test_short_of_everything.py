"""Every command ends in an answer or in one line: with hardly any file descriptors or memory, of
damaged databases, and of files that are none of those it reads."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.exit_codes import exit_code
from cli.main import COMMANDS, cxrdex
from indexer import errors
from indexer.database.upkeep.verify import verify
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


@pytest.mark.parametrize("most", range(8, 21))
@pytest.mark.parametrize("words", [["verify"], ["verify", "--repair"], ["search", "effusion"]])
def test_a_database_is_never_called_damaged_for_want_of_descriptors(
    words: list[str], most: int, database: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(database, tmp_path / "db")
    done = subprocess.run(
        [sys.executable, "-m", "cli", *words, "--database", str(copy)],
        cwd=ROOT,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most)),
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode in {0, 1, 70}, said
    assert "damaged" not in said
    assert "lack" not in said
    assert "Traceback" not in said
    assert verify(copy) == []


@pytest.mark.parametrize("words", [["verify"], ["verify", "--repair"]])
def test_a_database_is_never_called_damaged_where_nothing_more_can_be_written(
    words: list[str], database: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(database, tmp_path / "db")
    done = subprocess.run(
        [sys.executable, "-m", "cli", *words, "--database", str(copy)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        # As on a full disk, no file may grow.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        check=False,
    )
    assert done.returncode == 9, done.stdout + done.stderr
    assert "no space is left" in done.stderr
    assert "damaged" not in done.stdout + done.stderr
    assert verify(copy) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("words", [["--help"], ["search", "--help"], ["--version"]])
def test_no_room_for_a_help_text_is_one_line(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cli", *words],
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 9
    assert len(done.stderr.splitlines()) == 1, done.stderr


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


def manifest_broken(database: Path, place: Path) -> None:
    shutil.copytree(database, place)
    (place / "manifest.json").write_text("{")


def junk_in_place(database: Path, place: Path) -> None:
    place.write_bytes(b"junk\0" * 100)


def no_database(database: Path, place: Path) -> None:
    place.mkdir()
    (place / "a.txt").write_text("no database")


def on_a_database(film: Path, archive: Path, place: Path, home: Path) -> list[list[str | Path]]:
    """Calls of every command that is given a database, with all else as it should be."""
    names = home / "names"
    names.write_text("unknown\n")
    labels = home / "labels.csv"
    labels.write_text("id,finding,action\n")
    calls: list[list[str | Path]] = [
        ["index", archive], ["similar", film], ["search", "effusion"], ["show", "0" * 16],
        ["explain", film, "--label", "opacity", "--to", home / "map.png"],
        ["export", "effusion", "--to", home / "rows.csv"], ["serve", "--port", "0"], ["status"],
        ["failures"], ["sync"], ["migrate"], ["compact"], ["backup", home / "copy"],
        ["relocate", archive, home / "moved"], ["labels", "export", "--to", home / "labels"],
        ["labels", "import", labels], ["labels", "history", "0" * 16],
        ["forget", "--patient", "--from", names, "--yes"], ["verify"],
    ]  # fmt: skip
    return [[*call, "--database", place] for call in calls] + [
        ["merge", place, place, "--database", home / "merged"],
        ["demo", "--folder", home / "demo", "--studies", "12"],
    ]


def on_junk(junk: Path, database: Path, home: Path) -> list[list[str | Path]]:
    """Calls of every command that reads a file, each with junk in its place."""
    calls: list[list[str | Path]] = [
        ["index", junk, "--database", home / "new"],
        ["index", junk.parent, "--database", home / "other", "--bundle", junk],
        ["similar", junk, "--database", database],
        ["explain", junk, "--label", "opacity", "--to", home / "map.png"],
        ["search", "effusion", "--image", junk, "--database", database],
        ["labels", "import", junk, "--database", database],
        ["forget", "--patient", "--from", junk, "--yes", "--database", database],
        ["serve", "--users", junk, "--port", "0", "--database", database],
        ["user", "add", "ann", "--users", junk], ["user", "list", "--users", junk],
        ["audit", "--verify", "--audit", junk], ["audit", "list", "--audit", junk],
        ["mine", junk], ["train", junk, "--output", home / "bundle"], ["evaluate", junk],
        ["doctor", "--bundle", junk], ["lexicon", junk.read_text(errors="replace")[:40]],
        ["plan", "--images", "junk"],
    ]  # fmt: skip
    return calls


def run_all(calls: list[list[str | Path]], *, may_answer: frozenset[str]) -> set[str]:
    """Run each in this process; gives the names of all commands."""
    for call in calls:
        words = list(map(str, call))
        # A server sets it, and would leave it to the tests that follow.
        before = signal.getsignal(signal.SIGTERM)
        done = CliRunner().invoke(cxrdex, words)
        signal.signal(signal.SIGTERM, before)
        told = (words, done.exit_code, done.output)
        assert done.exit_code in CODES - {70}, told
        assert "Traceback" not in done.output, told
        assert done.exception is None or isinstance(done.exception, SystemExit), told
        if done.exit_code == 0:
            assert words[0] in may_answer, told
        elif done.exit_code != 2:
            lines = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
            assert len(lines) == 1, told
    return {str(call[0]) for call in calls}


@pytest.mark.parametrize("damage", [manifest_broken, junk_in_place, no_database])
def test_a_damaged_database_ends_every_command_in_one_line(
    damage: Callable[[Path, Path], None], simulation: Simulation, database: Path, tmp_path: Path
) -> None:
    film = next(simulation.folder / f.name for f in simulation.files if f.outcome == "done")
    place = tmp_path / "place"
    damage(database, place)
    (tmp_path / "demo").mkdir()
    damage(database, tmp_path / "demo" / "database")
    calls = on_a_database(film, simulation.folder, place, tmp_path)
    # A film is explained without a database.
    done = run_all(calls, may_answer=frozenset({"explain"}))
    others = {"lexicon", "user", "audit", "mine", "train", "evaluate", "plan", "doctor"}
    assert done | others == COMMANDS.keys()


def test_junk_ends_every_command_that_reads_a_file_in_one_line(
    database: Path, tmp_path: Path
) -> None:
    junk = tmp_path / "inputs" / "junk.dcm"
    junk.parent.mkdir()
    junk.write_bytes(bytes(range(1, 256)) * 20)
    # An archive of junk is read, and its files are counted as failed.
    run_all(on_junk(junk, database, tmp_path), may_answer=frozenset({"index", "doctor", "lexicon"}))
