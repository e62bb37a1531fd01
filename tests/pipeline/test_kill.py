"""``kill -9`` at random moments: the database ends as if it had never happened."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from indexer.archive.deidentify import fingerprint
from indexer.archive.id_key import load_key
from indexer.cascade.bundle import Bundle
from indexer.database.choices import Choices
from indexer.database.reader import DatabaseReader
from indexer.database.upkeep.verify import verify
from indexer.database.vectors.shards import vector_keys
from indexer.database.writer import Writer
from indexer.errors import DatabaseError
from tests.pipeline.making import database_state, make_bundle, write_picture, write_pictures

pytestmark = pytest.mark.skipif(os.name != "posix", reason="uses fork and SIGKILL")

#: Kills of each command; `make test` takes a few, a release 25 of each.
KILLS = int(os.environ.get("CXRDEX_TEST_KILLS", "5"))
PICTURES, SEED = 90, 7

# Imports everything once; every line it reads is a command and a database, for a fork of it.
_NURSERY = """
import os, sys, time
from contextlib import contextmanager
from pathlib import Path

if __name__ == "__main__":  # or the workers would import all this, too
    import elasticsearch, faiss, tantivy, torch
    from indexer.cascade import reading as runtime
    from indexer.cascade.compute import Compute
    from indexer.cascade.runtimes import reference
    from indexer.database.ledger.ledger import Ledger
    from indexer.database.writer import Writer
    from indexer.database.writing import compaction, settling
    from indexer.pipeline import listing, run
    from indexer.pipeline.stages import model
    from indexer.pipeline.options import FileProcessing, FileSelection
    from indexer.pipeline.run import index

    class SlowRuntime(runtime.Predictor):
        def read(self, canvases):
            time.sleep(0.1)
            return super().read(canvases)

    committed = Ledger.transaction

    @contextmanager
    def slow(self, **options):
        # So that kills fall between the transactions of a prune, which are the least of its time.
        with committed(self, **options):
            yield
        time.sleep(0.02)

    runtime.Predictor = SlowRuntime
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    model._COMMIT_FILES = 12
    compaction._SMALL_SHARDS = 4
    listing._CHUNK = settling._PAGE = 4
    archive, reports, bundle = map(Path, sys.argv[1:])
    for line in sys.stdin:
        command, database = line.split(maxsplit=1)
        database = Path(database.strip())
        child = os.fork()
        if child == 0:
            if command == "apart":
                run._MANY = 1
            if command == "prune":
                Ledger.transaction = slow
            if command in ("index", "apart", "prune", "reread"):
                other = bundle.with_name(bundle.name + "-other") if command == "reread" else bundle
                index(
                    [archive], database, reports=reports,
                    compute=Compute(other, "cpu", "torch"),
                    selection=FileSelection(
                        prune=True, prune_limit=0.5, retry_failed=True, reread=command == "reread"
                    ),
                    processing=FileProcessing(workers=1, batch_size=6),
                )
            else:
                with Writer.maintain(database, text="untouched") as writer:
                    if command == "compact":
                        writer.compact(everything=True)
                        writer.wipe()
                    elif command == "sync":
                        writer.outbox.sync()
                    elif command == "migrate":
                        writer.outbox.migrate()
                    else:
                        raise ValueError(command)
            os._exit(0)
        print(child, flush=True)
        sys.stdin.readline()  # until then the child's number is its own, even if it has ended
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Nursery:
    """Starts runs that can be killed, without importing torch for each."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def _line(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def run(self, database: Path, kill_after: float | None = None, command: str = "index") -> int:
        """Exit code of a command that is killed after so many seconds, if it still runs then."""
        self._write(f"{command} {database}")
        child = self._line()
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(child, signal.SIGKILL)
        self._write("reap")
        return self._line()


@contextmanager
def _nursery(folder: Path, *arguments: Path) -> Iterator[Nursery]:
    script = folder / "nursery.py"
    script.write_text(_NURSERY)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, str(script), *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        try:
            yield Nursery(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def _vectors(path: Path, ids: list[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    with DatabaseReader.open(path) as database:
        return database.vectors().stored_vectors(vector_keys(ids))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Pictures, twins, files that cannot be read, and reports on some."""
    folder = write_pictures(tmp_path / "archive", PICTURES)
    for number in range(0, PICTURES, 9):
        shutil.copy(folder / f"{number:03d}.png", folder / f"{number:03d}-twin.png")
    for number in range(5):
        (folder / f"{10 * number:03d}-words.txt").write_text("words")
        (folder / f"{10 * number:03d}-broken.dcm").write_text("words")
    reports = tmp_path / "reports"
    reports.mkdir()
    for number in range(0, PICTURES, 4):
        (reports / f"{number:03d}.txt").write_text(f"Opacity number {number}.")
    return folder


def _change(archive: Path) -> None:
    """What happens to an archive between two runs."""
    for number in range(3, PICTURES, 10):
        write_picture(archive / f"{number:03d}.png", 1000 + number)
    for number in range(0, PICTURES, 18):
        (archive / f"{number:03d}.png").unlink()  # its twin stays
    for number in range(5, PICTURES, 20):
        (archive / f"{number:03d}.png").unlink()
    (archive.parent / "reports" / "008.txt").write_text("Another opacity.")


def test_kill_nine_anywhere(archive: Path, tiny: Bundle, tmp_path: Path) -> None:
    rng = random.Random(SEED)
    kills = databases = 0
    seen: set[tuple[int, int]] = set()
    with _nursery(tmp_path, archive, tmp_path / "reports", tiny.path) as nursery:
        # What a run that nobody kills makes of the archive; the second one is timed.
        assert nursery.run(tmp_path / "calm") == 0
        first = database_state(tmp_path / "calm")
        started = time.monotonic()
        assert nursery.run(tmp_path / "timed") == 0
        duration = time.monotonic() - started
        while kills < KILLS:
            databases += 1
            database = tmp_path / f"killed{databases}"
            # Some runs write their words in a process of its own, as large ones do.
            while code := nursery.run(
                database, rng.uniform(0.02, duration), rng.choice(("index", "apart"))
            ):
                assert code == -signal.SIGKILL
                kills += 1
                seen.add(_check_killed(database))
                if kills == KILLS:
                    assert nursery.run(database) == 0
                    break
            _same(database, tmp_path / "calm", first)
        if KILLS >= 25:
            within = {files for files, _ in seen} - {0, sum(first["counts"].values())}
            assert len(within) >= 4, "kills fell between commits"
        # Runs that change, drop and promote images are killed as well.
        _change(archive)
        assert nursery.run(tmp_path / "calm") == 0
        second = database_state(tmp_path / "calm")
        while nursery.run(database, rng.uniform(0.02, duration)):
            _check_killed(database)
        _same(database, tmp_path / "calm", second)
    assert first["counts"] == {"done": 90, "duplicate": 10, "skipped": 5, "failed": 5}
    assert second["counts"] == {"done": 87, "duplicate": 3, "skipped": 5, "failed": 5}


def _killed_until_done(
    nursery: Nursery,
    command: str,
    start: Path,
    folder: Path,
    rng: random.Random,
    seen: set[tuple[int, int]],
) -> Iterator[Path]:
    """Copies of a database whose `command` was killed, now and then more than once, and ended;
    `seen` gets how many files and images they had when it was killed."""
    calm = Path(shutil.copytree(start, folder / f"calm-{command}"))
    started = time.monotonic()
    assert nursery.run(calm, command=command) == 0
    duration = time.monotonic() - started
    kills = databases = 0
    while kills < KILLS:
        databases += 1
        path = Path(shutil.copytree(start, folder / f"{command}{databases}"))
        while code := nursery.run(path, rng.uniform(0.02, duration), command):
            assert code == -signal.SIGKILL
            kills += 1
            seen.add(_check_killed(path))
            if kills >= KILLS:
                assert nursery.run(path, command=command) == 0
                break
        yield path


def _lose(archive: Path) -> None:
    """Files go between two runs, so that a run has nothing to read, and only prunes."""
    for number in range(0, PICTURES, 18):
        (archive / f"{number:03d}.png").unlink()  # its twin stays
    for number in range(9, PICTURES, 18):
        (archive / f"{number:03d}-twin.png").unlink()
    for number in range(1, PICTURES, 3):
        (archive / f"{number:03d}.png").unlink()


def test_prune_is_killed(archive: Path, tiny: Bundle, tmp_path: Path) -> None:
    seen: set[tuple[int, int]] = set()
    with _nursery(tmp_path, archive, tmp_path / "reports", tiny.path) as nursery:
        start, calm = tmp_path / "start", tmp_path / "calm-prune"
        assert nursery.run(start) == 0
        _lose(archive)
        rng = random.Random(SEED)
        for path in _killed_until_done(nursery, "prune", start, tmp_path, rng, seen):
            expected = database_state(calm)
            _same(path, calm, expected)
            shutil.rmtree(path)
    assert expected["counts"] == {"done": 60, "duplicate": 0, "skipped": 5, "failed": 5}
    if KILLS >= 25:
        # Each transaction forgets four of 40 files, or settles four of the images they were of.
        assert len(seen - {(110, 90), (70, 60)}) >= 3, "kills fell between transactions"


@pytest.mark.parametrize("command", ["reread", "compact"])
def test_other_commands_are_killed(
    archive: Path, tiny: Bundle, tmp_path: Path, command: str
) -> None:
    other = tiny.path.with_name(tiny.path.name + "-other")
    if not other.exists():
        make_bundle(other, "other", seed=1)
    rng = random.Random(SEED)
    with _nursery(tmp_path, archive, tmp_path / "reports", tiny.path) as nursery:
        start = tmp_path / "start"
        assert nursery.run(start) == 0
        _change(archive)
        assert nursery.run(start) == 0
        for path in _killed_until_done(nursery, command, start, tmp_path, rng, set()):
            expected = database_state(tmp_path / f"calm-{command}")
            _same(path, tmp_path / f"calm-{command}", expected)
            shutil.rmtree(path)


def test_sync_and_migrate_are_killed(
    archive: Path, tiny: Bundle, tmp_path: Path, elasticsearch_url: str
) -> None:
    """Each database has an index of its own, which no copy of it may share: it is made anew."""
    rng = random.Random(SEED)
    choices = Choices("elasticsearch", elasticsearch_url)
    with _nursery(tmp_path, archive, tmp_path / "reports", tiny.path) as nursery:
        path = tmp_path / "served"
        with Writer.open(path, tiny, fingerprint(load_key()), choices):
            pass
        assert nursery.run(path) == 0
        for command in ("sync", "migrate"):
            kills, duration = 0, 3.0
            while kills < KILLS:
                with Writer.maintain(path, text="untouched") as writer, writer.ledger.transaction():
                    writer.ledger.outbox.mark_refill()
                started = time.monotonic()
                while code := nursery.run(path, rng.uniform(0.02, duration), command):
                    assert code == -signal.SIGKILL
                    kills += 1
                    # On a slow machine no run might ever be given the time that it needs.
                    if kills >= KILLS:
                        break
                duration = max(0.1, min(duration, time.monotonic() - started))
                assert nursery.run(path, command="sync") == 0
                assert verify(path) == []


def _check_killed(database: Path) -> tuple[int, int]:
    """A reader never sees half a commit; gives how many files and images are committed."""
    try:
        if verify(database):
            raise AssertionError(verify(database))
        with DatabaseReader.open(database) as opened:
            return sum(opened.counts().values()), opened.ledger.images.count
    except DatabaseError as error:
        # Killed before there was anything to read.
        if "no database at" in str(error) or "schema 0" in str(error):
            return 0, 0
        raise


def _same(database: Path, calm: Path, expected: dict[str, object]) -> None:
    assert verify(database) == []
    found = database_state(database)
    for part, value in expected.items():
        assert found[part] == value, part
    ids = sorted(found["documents"])
    vectors, others = _vectors(database, ids), _vectors(calm, ids)
    cosines = (vectors * others).sum(1) / np.linalg.norm(vectors, axis=1)
    assert (cosines / np.linalg.norm(others, axis=1) > 0.9999).all()
    assert not list((database / "embeddings").glob("*.tmp"))
