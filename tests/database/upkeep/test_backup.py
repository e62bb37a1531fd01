"""Copies of a database, and archives that moved."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import cxrdex
from indexer.database.reader import DatabaseReader
from indexer.database.upkeep.backup import back_up, relocate
from indexer.database.upkeep.verify import verify
from indexer.errors import DatabaseError
from tests.database.making import entry, fill, image_id, opened


def test_a_copy_is_a_database_of_its_own(tmp_path: Path) -> None:
    path, copy = fill(tmp_path / "db", 25), tmp_path / "copy"
    answer = CliRunner().invoke(cxrdex, ["backup", str(copy), "--database", str(path)])
    assert answer.output == f"25 images copied to {copy}\n"
    assert verify(copy) == []
    assert copy.stat().st_mode & 0o777 == 0o700
    with DatabaseReader.open(copy) as database:
        assert set(database.image_ids()) == {image_id(n) for n in range(25)}
        assert database.thumbnail(image_id(3)) == b"picture 3"
    # Restored, it goes on where it was.
    path.rename(tmp_path / "lost")
    copy.rename(path)
    with opened(path) as writer:
        writer.commit([entry(77)])
        writer.build_vectors()
        writer.end_run("complete", {})
    assert verify(path) == []
    with pytest.raises(DatabaseError, match="there already"):
        back_up(path, tmp_path / "lost")
    assert not list(tmp_path.glob(".*"))


def test_a_copy_of_a_database_that_is_being_written(tmp_path: Path) -> None:
    path = fill(tmp_path / "db", 20)
    copies, done = [], threading.Event()

    def write() -> None:
        with opened(path) as writer:
            for number in range(100, 160, 3):
                writer.commit([entry(number + n) for n in range(3)])
                writer.remove_files(1, [f"{number}.png"])
                writer.settle()
                if number % 2:
                    writer.compact(everything=True)
                if done.is_set():
                    break
            writer.end_run("complete", {})

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(2):
            copies.append(tmp_path / f"copy{number}")
            assert back_up(path, copies[-1]) >= 20
    finally:
        done.set()
        thread.join()
    for copy in copies:
        assert verify(copy) == []


def test_a_moved_archive_is_known(tmp_path: Path) -> None:
    path = fill(tmp_path / "db", 5)
    with pytest.raises(DatabaseError, match="it has: /archive"):
        relocate(path, "/elsewhere", str(tmp_path))
    answer = CliRunner().invoke(
        cxrdex, ["relocate", "/archive", str(tmp_path), "--database", str(path)]
    )
    assert answer.output == f"5 files are at {tmp_path} now\n"
    assert relocate(path, str(tmp_path.parent), "/mnt") == 5
    with DatabaseReader.open(path) as database:
        assert database.ledger.files.by_archive() == {f"/mnt/{tmp_path.name}": 5}
