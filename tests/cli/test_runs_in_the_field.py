"""A run that is refused leaves nothing; what matched nothing is counted, and named on request;
files that went or moved are dropped or known as the person says."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import Result

from indexer.database.reader import DatabaseReader
from tests.archive.making import film, make_dicom, to_bytes
from tests.pipeline.making import make_bundle, write_pictures
from tests.terminal import at_a_terminal

Ask: TypeAlias = Callable[..., Any]
Run: TypeAlias = Callable[..., Result]


def test_a_run_that_is_refused_makes_no_key(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "keys" / "key"
    monkeypatch.setenv("CXRDEX_KEY_FILE", str(key))
    (tmp_path / "archive").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("in the way")
    for archive, database in (("none", "db"), ("archive", "full")):
        result = run("index", tmp_path / archive, "--database", tmp_path / database)
        assert result.exit_code
        assert not key.exists()
    assert run("index", tmp_path / "archive", "--database", tmp_path / "db").exit_code == 0
    assert key.stat().st_mode & 0o777 == 0o600
    key.rename(tmp_path / "elsewhere")
    result = run("index", tmp_path / "archive", "--database", tmp_path / "db")
    assert result.exit_code == 4
    assert "CXRDEX_KEY_FILE" in result.stderr
    assert not key.exists()


def test_reports_that_match_nothing(run: Run, tmp_path: Path) -> None:
    study = tmp_path / "files" / "p10" / "s50000001"
    study.mkdir(parents=True)
    (study / "a.dcm").write_bytes(to_bytes(make_dicom(film())))
    (study.parent / "s50000001.txt").write_text("FINDINGS: effusion.")
    (study.parent / "s50000009.txt").write_text("FINDINGS: nodule.")
    (study.parent / "letter.pdf").write_bytes(b"%PDF")
    words = ("index", tmp_path, "--reports", tmp_path, "--database", tmp_path.parent / "db")
    result = run(*words, "--quiet")
    assert "1 of 2 reports belong to no image" in result.stdout
    assert "s50000009" not in result.stdout + result.stderr
    asked = run(*words, "--quiet", "--list-reports", "--format", "json")
    counted = json.loads(asked.stdout)
    assert counted["reports"]["without_image"] == 1
    assert "s50000009" not in asked.stdout
    assert "s50000009" in asked.stderr


@pytest.mark.skipif(os.name != "posix", reason="uses terminals of Unix")
def test_a_person_at_a_terminal_is_asked_before_much_is_dropped(run: Run, tmp_path: Path) -> None:
    archive, database = write_pictures(tmp_path / "archive", 4), tmp_path / "db"
    words = ["index", str(archive), "--database", str(database)]
    words += ["--bundle", str(make_bundle(tmp_path / "tiny").path), "--quiet"]
    assert run(*words).exit_code == 0
    for number in range(2):
        (archive / f"{number:03d}.png").unlink()
    names = {"PYTHONPATH": str(Path(__file__).parents[2])}
    for typed, code, left in ((b"n\n", 1, 4), (b"y\n", 0, 2)):
        shown, ended = at_a_terminal(
            ["-m", "cli", *words, "--prune"], {b"Drop them? [y/N]:": typed}, **names
        )
        assert ended == code, shown
        assert "2 of 4 files are gone" in shown
        assert ("2 files gone from the archive were dropped" in shown) == (left == 2)
        assert ("Aborted" in shown) == (left == 4)
        assert "Traceback" not in shown
        with DatabaseReader.open(database) as reader:
            assert len(reader) == left


def test_an_archive_that_moved_is_known_where_it_is_now(run: Run, ask: Ask, tmp_path: Path) -> None:
    old, new = write_pictures(tmp_path / "old", 4), tmp_path / "disk" / "new"
    (old / "letter.dcm").write_text("Dear colleague,")
    at = ("--database", tmp_path / "db")
    bundle = ("--bundle", make_bundle(tmp_path / "tiny").path)
    first = ask("index", old, *at, *bundle, "--quiet")
    assert (first["done"], first["failed"], first["duplicate"]) == (4, 1, 0)
    images = ask("search", "*", "--images", "--include-unusual", *at)
    new.parent.mkdir()
    old.rename(new)
    assert ask("relocate", old, new, *at) == {"files": 5}
    again = ask("index", new, *at, *bundle, "--quiet")
    assert (again["unchanged"], again["total"]) == (5, 5)
    assert {again[end] for end in ("done", "duplicate", "skipped", "failed", "removed")} == {0}
    assert ask("search", "*", "--images", "--include-unusual", *at) == images
    (source,) = ask("show", images["hits"][0]["id"], "--source", *at)["sources"]
    assert source["archive"] == str(new)
    assert ask("status", *at)["images"] == {"done": 4, "duplicate": 0, "skipped": 0, "failed": 1}
