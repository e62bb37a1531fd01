"""A process that reads the bytes of a SQLite file keeps the locks that it has on it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from indexer.database.access import keep_wal_files
from indexer.database.reader import Database
from indexer.database.sqlite import connect, file_bytes
from tests.database.making import fill

_COMMIT = """
import sqlite3, sys
ledger = sqlite3.connect(sys.argv[1])
ledger.execute("INSERT OR REPLACE INTO meta VALUES (?, 1)", (sys.argv[2],))
ledger.commit()
ledger.close()
"""


def commit_elsewhere(ledger: Path, key: str) -> None:
    """A commit of another process, which then closes the file, and folds its log if it may."""
    subprocess.run([sys.executable, "-c", _COMMIT, str(ledger), key], check=True)


def keys(database: Database) -> set[str]:
    database.ledger.snapshot()
    found = {row[0] for row in database.ledger.connection.execute("SELECT key FROM meta")}
    database.ledger.rest()
    return found


def test_a_reader_sees_each_commit_though_the_database_is_opened_again(tmp_path: Path) -> None:
    path = fill(tmp_path / "db", 3)
    with Database.open(path) as first:
        keys(first)
        with Database.open(path) as second:
            keys(second)
        keep_wal_files(path)
        for key in ("one", "two"):
            commit_elsewhere(path / "ledger.sqlite", key)
            # Whoever is the last to close a file folds its log, and there is a reader left.
            assert (path / "ledger.sqlite-wal").exists()
            assert key in keys(first)


def test_bytes_are_read_as_they_lie_on_the_disk(tmp_path: Path) -> None:
    path = fill(tmp_path / "db", 3) / "ledger.sqlite"
    before = len(os.listdir("/proc/self/fd"))
    with closing(connect(path)), closing(connect(path)):
        assert b"".join(file_bytes(path)) == path.read_bytes()
    assert b"".join(file_bytes(path)) == path.read_bytes()
    assert len(os.listdir("/proc/self/fd")) == before
