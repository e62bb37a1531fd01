from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import cxrdex
from indexer.database.upkeep.privacy import look
from tests.database.making import fill


@pytest.mark.skipif(os.name != "posix", reason="permissions of Unix")
def test_who_can_read_what(tmp_path: Path) -> None:
    path = fill(tmp_path / "db", 3)
    found = look(path)
    assert found.counts["images"] == found.counts["thumbnails"] == 3
    parts = {holding.part: holding for holding in found.holdings}
    assert {p.name for p in path.iterdir() if not p.name.endswith(("-wal", "-shm", ".lock"))} <= {
        *parts
    }
    assert all("alone" in h.readers for h in found.holdings if h.bytes is not None)
    assert found.warnings == ()
    path.chmod(0o755)
    (path / "text").chmod(0o755)
    for file in (path / "text").iterdir():
        file.chmod(0o644)
    opened = {holding.part: holding.readers for holding in look(path).holdings}
    assert opened["text"] == "everybody on this machine"
    assert "alone" in opened["ledger.sqlite"]
    assert look(path).warnings


@pytest.mark.skipif(os.name != "posix", reason="permissions of Unix")
def test_one_file_is_enough_and_so_is_a_folder_that_lists_nothing(tmp_path: Path) -> None:
    path = fill(tmp_path / "db", 3)
    files = sorted(file for file in (path / "text").iterdir() if file.is_file())
    path.chmod(0o711)
    (path / "text").chmod(0o711)
    files[0].chmod(0o604)
    (path / "ledger.sqlite").chmod(0o640)
    (path / "notes.txt").write_text("Doe")
    (path / "notes.txt").chmod(0o600)
    found = look(path)
    readers = {holding.part: holding.readers for holding in found.holdings}
    assert readers["text"] == f"everybody on this machine (1 of its {len(files)} files)"
    assert "everybody" not in readers["ledger.sqlite"]
    assert "alone" in readers["notes.txt"]
    assert "can read 1 files" in found.warnings[0]
    path.chmod(0o750)
    readers = {holding.part: holding.readers for holding in look(path).holdings}
    assert " and the group " in readers["ledger.sqlite"]
    assert "alone" in readers["text"]


def test_the_command(tmp_path: Path) -> None:
    path = fill(tmp_path / "db", 3)
    runner = CliRunner()
    text = runner.invoke(cxrdex, ["doctor", "--privacy", str(path)])
    assert text.exit_code == 0
    assert "readers:" in text.output
    answer = runner.invoke(cxrdex, ["doctor", "--privacy", str(path), "--format", "json"])
    assert {h["part"] for h in json.loads(answer.output)["holdings"]} >= {"ledger.sqlite", "text"}
    missing = runner.invoke(cxrdex, ["doctor", "--privacy", str(tmp_path / "none")])
    assert missing.exit_code == 4
