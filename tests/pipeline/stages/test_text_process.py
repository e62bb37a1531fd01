"""The process that writes words beside the one that commits: used, ended, killed, refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Timer

import psutil
import pytest

from indexer.database.reader import DatabaseReader
from indexer.database.text.documents import canonical
from indexer.database.text.tantivy import store
from indexer.database.upkeep.verify import verify
from indexer.database.writer import Writer
from indexer.errors import DatabaseError
from indexer.pipeline import run as runs
from indexer.pipeline.stages.text_process import TextProcess, text_written_apart
from tests.database.making import entry, fill, opened
from tests.pipeline.conftest import Index
from tests.pipeline.making import database_state

_SECONDS = 30.0


def _documents(path: Path) -> list[str]:
    with DatabaseReader.open(path) as database:
        return [canonical(document) for document in database.documents()]


def _spawned(parent: int | None = None) -> list[psutil.Process]:
    """Workers of a process, by default of this one; Python starts a helper beside them."""
    children = psutil.Process(parent).children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


@pytest.fixture
def spawned() -> Callable[[], list[psutil.Process]]:
    """Workers that have come since the test began; those of other tests' servers go on."""
    others = _spawned()
    return lambda: [process for process in _spawned() if process not in others]


def test_a_large_run_has_one_and_the_database_is_the_same(
    run: Index,
    archive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spawned: Callable[[], list[psutil.Process]],
) -> None:
    run(archive, database=tmp_path / "small")
    written: list[int] = []
    write = TextProcess.write

    def noting(self: TextProcess, texts: Sequence[str], deletes: Sequence[str]) -> None:
        written.append(len(texts))
        write(self, texts, deletes)

    monkeypatch.setattr(TextProcess, "write", noting)
    monkeypatch.setattr(runs, "_MANY", 7)
    run(archive, database=tmp_path / "below")
    assert not written
    monkeypatch.setattr(runs, "_MANY", 6)
    run(archive, database=tmp_path / "large")
    assert sum(written) == 6
    assert not spawned()
    assert verify(tmp_path / "large") == []
    assert database_state(tmp_path / "large") == database_state(tmp_path / "small")


def test_killed_in_a_run(tmp_path: Path, spawned: Callable[[], list[psutil.Process]]) -> None:
    """The run ends with an error; what was committed waits, and is sent by the next one."""
    path = tmp_path / "db"
    with opened(path) as writer, text_written_apart(writer):
        writer.commit([entry(number) for number in range(5)])
        (process,) = spawned()
        process.kill()
        with pytest.raises(DatabaseError, match="ended with code -9; what was committed is safe"):
            writer.commit([entry(number) for number in range(5, 9)])
    with opened(path) as writer:
        assert writer.ledger.images.count == 9
        assert writer.ledger.outbox.is_empty
        writer.build_vectors()
    assert verify(path) == []


def test_its_errors_are_those_of_the_store(
    tmp_path: Path, spawned: Callable[[], list[psutil.Process]]
) -> None:
    path = fill(tmp_path / "db", 3)
    texts = _documents(path)
    with Writer.maintain(path) as writer:
        writer.text.apply([], ["f" * 16])
        process = TextProcess(path / "text")
        with pytest.raises(DatabaseError, match="another process is writing the text index"):
            process.write(texts, [])
        # One that lets go meanwhile is waited for.
        Timer(store._ENDING / 5, writer.text.close).start()
        process.write(texts[:1], [])
        process.close()
    assert not spawned()
    assert verify(path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent")
def test_it_ends_with_a_process_that_is_killed(tmp_path: Path) -> None:
    path = fill(tmp_path / "db", 3)
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from indexer.database.writer import Writer\n"
        "from indexer.pipeline.stages.text_process import TextProcess\n"
        "if __name__ == '__main__':\n"
        "    path = Path(sys.argv[1])\n"
        "    opened = Writer.maintain(path)\n"
        "    opened.__enter__()\n"
        "    TextProcess(path / 'text').write([], ['f' * 16])\n"
        "    print(flush=True)\n"
        "    time.sleep(600)\n"
    )
    script = tmp_path / "writes.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, str(script), str(path)], stdout=subprocess.PIPE, env=environment
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        (child,) = _spawned(parent.pid)
        # One that is busy does not see that nobody asks any more.
        child.send_signal(signal.SIGSTOP)
        parent.kill()
    child.wait(_SECONDS)
    started = time.monotonic()
    with Writer.maintain(path) as writer:
        writer.text.apply([], ["f" * 16])
    assert time.monotonic() - started < store._ENDING
    assert verify(path) == []
