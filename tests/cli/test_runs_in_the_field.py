"""A run that is refused leaves nothing; what matched nothing is counted, and named on request."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from click.testing import Result

from tests.archive.making import film, make_dicom, to_bytes

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
