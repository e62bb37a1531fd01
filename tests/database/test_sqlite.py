"""SQLite files: locks that are kept, and files that are there whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from indexer.database.access import keep_wal_files
from indexer.database.ledger.labels import LabelFile
from indexer.database.reader import DatabaseReader
from indexer.database.sqlite import connect, file_bytes, make
from indexer.database.upkeep.verify import verify
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


def keys(database: DatabaseReader) -> set[str]:
    database.ledger.snapshot()
    found = {row[0] for row in database.ledger.connection.execute("SELECT key FROM meta")}
    database.ledger.rest()
    return found


def test_a_reader_sees_each_commit_though_the_database_is_opened_again(tmp_path: Path) -> None:
    path = fill(tmp_path / "db", 3)
    with DatabaseReader.open(path) as first:
        keys(first)
        with DatabaseReader.open(path) as second:
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


_KILLED = """
import os, signal, sys
from pathlib import Path
from indexer.database import sqlite
from indexer.database.ledger.labels import LabelFile

def killed(path, **options):
    connect(path, **options)
    os.kill(os.getpid(), signal.SIGKILL)

connect, sqlite.connect = sqlite.connect, killed
LabelFile(Path(sys.argv[1]), write=True)
"""


def test_a_file_that_is_killed_while_it_is_made_was_never_there(tmp_path: Path) -> None:
    path = fill(tmp_path / "db", 3)
    for file in path.glob("labels.*"):
        file.unlink()
    labels = path / "labels.sqlite"
    done = subprocess.run([sys.executable, "-c", _KILLED, str(labels)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not labels.exists()
    assert [*path.glob("*.tmp*")]
    LabelFile(labels, write=True).close()
    assert not [*path.glob("*.tmp*")]
    assert verify(path) == []


def test_of_two_that_make_a_file_the_first_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "file.sqlite"
    for name in ("first", "second"):
        make(path, f"CREATE TABLE {name} (a)")
    with closing(connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("first",)]
    assert not [*tmp_path.glob("*.tmp*")]
