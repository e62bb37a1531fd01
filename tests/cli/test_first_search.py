"""What `cxrdex index` leaves ready for the first search by meaning."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from indexer.database.text.meanings import kept_meanings
from indexer.database.upkeep.repair import repair
from indexer.database.upkeep.verify import verify
from indexer.simulation import Simulation
from tests.cli.conftest import Run


def test_the_first_search_encodes_its_sentence_alone(
    database: Path, encoded: list[str], ask: Callable[..., Any]
) -> None:
    found = ask("search", "air around the lung", "--mode", "semantic", "--database", database)
    assert found["hits"]
    assert encoded == ["air around the lung"]


def test_a_run_that_changes_nothing_encodes_nothing(
    simulation: Simulation, database: Path, encoded: list[str], run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "database"
    shutil.copytree(database, path)
    again = ("index", simulation.folder, "--reports", simulation.reports, "--database", path)
    assert run(*again).exit_code == 0
    assert encoded == []
    shutil.rmtree(path / "semantic")
    assert run(*again).exit_code == 0
    assert len(encoded) == len(set(encoded)) > 0


def test_damaged_vectors_are_named_and_made_anew(
    database: Path, encoded: list[str], ask: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "database"
    shutil.copytree(database, path)
    (vectors,) = (path / "semantic").iterdir()
    content = bytearray(vectors.read_bytes())
    content[len(content) // 2] ^= 1
    vectors.write_bytes(content)
    (problem,) = verify(path)
    assert problem.where == "semantic"
    assert vectors.name in problem.detail
    question = ("search", "air around the lung", "--mode", "semantic")
    whole = ask(*question, "--database", database)
    assert ask(*question, "--database", path)["hits"] == whole["hits"]
    vectors.write_bytes(content)
    assert repair(path).problems == ()
    assert not vectors.exists()


def _texts(path: Path) -> set[str]:
    (vectors,) = (path / "semantic").iterdir()
    return set(kept_meanings(vectors.parent))


def test_forgetting_and_compacting_encode_nothing_anew(
    database: Path, encoded: list[str], run: Run, ask: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "database"
    shutil.copytree(database, path)
    before = _texts(path)
    assert run("compact", "--database", path).exit_code == 0
    assert _texts(path) == before
    found = ask("search", "effusion", "--images", "--limit", "1000", "--database", path)["hits"]
    names = tmp_path / "names"
    names.write_text("\n".join(hit["id"] for hit in found))
    assert run("forget", "--image", "--from", names, "--yes", "--database", path).exit_code == 0
    assert _texts(path) < before
    assert encoded == []
    # Where there were none, none are made.
    shutil.rmtree(path / "semantic")
    assert run("compact", "--database", path).exit_code == 0
    assert not (path / "semantic").exists()
    assert encoded == []
