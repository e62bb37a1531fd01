from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from indexer.database.ledger import ledger as module
from indexer.database.ledger.ledger import Ledger
from indexer.errors import DatabaseError, DatabaseMismatch


def _version(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def test_migrations_are_applied_in_order_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.sqlite"
    first = module._migrations()
    Ledger(path, write=True).close()
    assert _version(path) == len(first)
    more = [*first, "CREATE TABLE extra (a)", "INSERT INTO extra VALUES (7)"]
    monkeypatch.setattr(module, "_migrations", lambda: more)
    with pytest.raises(DatabaseMismatch, match="cxrdex index"):
        Ledger(path)
    for _ in range(2):
        ledger = Ledger(path, write=True)
        assert ledger.connection.execute("SELECT a FROM extra").fetchall() == [(7,)]
        ledger.close()
    assert _version(path) == len(more)


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.sqlite"
    first = module._migrations()
    Ledger(path, write=True).close()
    broken = [*first, "CREATE TABLE extra (a); INSERT INTO nowhere VALUES (1)"]
    with monkeypatch.context() as patch:
        patch.setattr(module, "_migrations", lambda: broken)
        with pytest.raises(sqlite3.OperationalError):
            Ledger(path, write=True)
    ledger = Ledger(path)
    assert not ledger.connection.execute("PRAGMA table_info(extra)").fetchall()
    ledger.close()


def test_a_newer_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path, write=True)
    ledger.connection.execute("PRAGMA user_version = 999")
    ledger.close()
    for write in (False, True):
        with pytest.raises(DatabaseMismatch, match="update cxrdex"):
            Ledger(path, write=write)


def test_a_missing_or_damaged_ledger_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"missing\.sqlite"):
        Ledger(tmp_path / "missing.sqlite")
    (tmp_path / "words.sqlite").write_text("words " * 1000)
    with pytest.raises(DatabaseError, match=r"words\.sqlite"):
        Ledger(tmp_path / "words.sqlite")


def test_it_is_private(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path, write=True)
    ledger.files.by_archive()
    for file in tmp_path.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file
    ledger.close()
