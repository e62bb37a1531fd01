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
    reader = Ledger(path)
    assert reader.is_outdated
    reader.close()
    assert _version(path) == len(first)
    for _ in range(2):
        ledger = Ledger(path, write=True)
        assert ledger.connection.execute("SELECT a FROM extra").fetchall() == [(7,)]
        ledger.close()
    assert _version(path) == len(more)


@pytest.mark.parametrize("schema", range(1, len(module._migrations())))
def test_one_of_every_earlier_schema_can_be_read(tmp_path: Path, schema: int) -> None:
    path = tmp_path / "ledger.sqlite"
    made = sqlite3.connect(path)
    for script in module._migrations()[:schema]:
        made.executescript(script)
    made.executescript(
        f"PRAGMA user_version = {schema}; INSERT INTO shards VALUES (1, 1, 0, '');"
        "INSERT INTO runs VALUES (1, '', NULL, 'complete', '', '', '{}');"
        "INSERT INTO images (image_id, study, patient, metadata, reading, report_keys, "
        "document_hash, thumbnail, shard, row, run) "
        "VALUES ('aa', 's', 'p', '{}', '{\"unusual\": 0.9}', '[]', '', 1, 1, 0, 1)"
    )
    made.close()
    before = path.read_bytes()
    reader = Ledger(path)
    reader.snapshot()
    assert [row.image_id for row in reader.images] == reader.images.unusual() == ["aa"]
    assert [row.pooled for row in reader.images.of_study("s")] == [None]
    assert reader.images.studies_of_several() == []
    assert reader.labels.newest == 0
    assert reader.labels.pruned() == []
    assert list(reader.checks.ledger()) != []
    reader.close()
    assert path.read_bytes() == before


def test_each_migration_says_what_a_reader_needs() -> None:
    assert set(module._scripts("migrations")) - {1} == set(module._scripts("migrations/reading"))


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
