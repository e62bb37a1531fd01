"""Hosts, processes, cables and the driver end in the middle: the database is that of a plain run.

A minute each: they need Ray (extra `ray`) and root, and are skipped without.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.archive.deidentify import fingerprint
from indexer.archive.id_key import load_key
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.database.reader import DatabaseReader
from indexer.database.upkeep.verify import verify
from indexer.database.vectors.shards import vector_keys
from indexer.pipeline.options import FileProcessing
from indexer.pipeline.run import index
from tests.pipeline.making import database_state, make_bundle, write_pictures
from tests.pipeline.remote.hosts import Hosts, needed, unavailable
from tests.pipeline.remote.readers import SLOW

pytestmark = [needed(unavailable()), pytest.mark.timeout(900)]

PICTURES, TWINS, OTHERS = 270, 20, 10
# A file that takes very long where it is read first.
SLOWEST = "150.png"
END_SECONDS = 300.0


@dataclass(frozen=True)
class Bench:
    """A cluster of three machines, an archive of 300 files, and what a plain run makes of it."""

    hosts: Hosts
    folder: Path
    bundle: Bundle
    archive: Path
    plain: Path
    expected: dict[str, Any]


@dataclass
class Run:
    """A run of the command on the cluster."""

    process: subprocess.Popen[str]
    marks: Path
    database: Path
    printed: tuple[str, str] = field(default=("", ""))

    def wait_for(self, files: int) -> None:
        """Until so many files have been begun with."""
        until = time.monotonic() + END_SECONDS
        while len(list(self.marks.iterdir())) < files:
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < until
            time.sleep(0.05)

    def end(self) -> int:
        """Its exit code."""
        self.printed = self.process.communicate(timeout=END_SECONDS)
        return self.process.returncode

    @property
    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.printed[0])
        return found


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("cluster")
    bundle = make_bundle(folder / "tiny")
    archive = write_pictures(folder / "archive", PICTURES)
    for number in range(0, 10 * TWINS, 10):
        shutil.copy(archive / f"{number:03d}.png", archive / f"{number:03d}-twin.png")
    for number in range(0, 10 * OTHERS, 20):
        (archive / f"{number:03d}-words.txt").write_text("words")
        (archive / f"{number:03d}-broken.dcm").write_text("words")
    plain = folder / "plain"
    index(
        [archive], plain, compute=Compute(bundle.path, "cpu"), processing=FileProcessing(workers=1)
    )
    load_key()
    hosts = Hosts(folder, 3, Path(os.environ["CXRDEX_KEY_FILE"]))
    try:
        hosts.start(0, *hosts.numbers)
        yield Bench(hosts, folder, bundle, archive, plain, database_state(plain))
    finally:
        hosts.stop()


Begin = Callable[..., Run]


@pytest.fixture
def begin(bench: Bench, tmp_path: Path) -> Iterator[Begin]:
    """Begins `cxrdex index` on the cluster."""
    begun: list[Run] = []

    def run(seconds: float = 0.0, archive: Path = bench.archive, *options: str) -> Run:
        marks = tmp_path / f"marks{len(begun)}"
        marks.mkdir()
        words = [sys.executable, "-m", "tests.pipeline.remote.driver", str(seconds), str(marks)]
        words += ["-v", "index", str(archive), "--database", str(tmp_path / "db")]
        words += ["--bundle", str(bench.bundle.path), "--device", "cpu", "--format", "json"]
        words += ["--on", bench.hosts.url, *options]
        begun.append(Run(bench.hosts.run(words), marks, tmp_path / "db"))
        return begun[-1]

    yield run
    for one in begun:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


def same(bench: Bench, database: Path) -> None:
    """Files, readings, vectors, documents, texts and pictures are those of the plain run."""
    assert verify(database) == []
    found = database_state(database)
    for part, value in bench.expected.items():
        assert found[part] == value, part
    ids = sorted(found["documents"])
    assert np.array_equal(_vectors(database, ids), _vectors(bench.plain, ids))
    names = [file[:2] for file in found["files"]]
    assert len(names) == len(set(names)) == PICTURES + TWINS + OTHERS


def _vectors(path: Path, ids: list[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    with DatabaseReader.open(path) as database:
        return database.vectors().stored_vectors(vector_keys(ids))


def ended_well(bench: Bench, run: Run) -> None:
    assert run.end() == 0, run.printed
    same(bench, run.database)


def test_nothing_fails(bench: Bench, begin: Begin) -> None:
    run = begin()
    ended_well(bench, run)
    counts = {"done": PICTURES, "duplicate": TWINS, "skipped": 5, "failed": 5, "left": 0}
    assert {name: run.summary[name] for name in counts} == counts
    stages = run.summary["stages"]
    hosts = {stage["host"] for stage in stages["stages"]}
    assert hosts - {None} <= {bench.hosts.address(n) for n in bench.hosts.numbers}
    assert len(hosts) > 2
    assert {s["stage"] for s in stages["stages"]} == {"decode", "model", "commit", "send"}
    assert (stages["cores"], stages["processor"]) == (3, None)
    again = begin()
    ended_well(bench, again)
    assert again.summary["unchanged"] == PICTURES + TWINS + OTHERS
    assert not list(again.marks.iterdir())


def test_processes_are_killed(bench: Bench, begin: Begin) -> None:
    run = begin(0.05)
    killed = 0
    for files in (30, 90, 150):
        run.wait_for(files)
        for host in bench.hosts.numbers[:2]:
            for process in bench.hosts.workers(host):
                os.kill(process, signal.SIGKILL)
                killed += 1
    ended_well(bench, run)
    assert killed >= 3
    assert "was lost" in run.printed[1]


def test_a_host_is_killed(bench: Bench, begin: Begin) -> None:
    run = begin(0.05)
    run.wait_for(60)
    bench.hosts.kill(1)
    try:
        ended_well(bench, run)
        assert "was lost" in run.printed[1]
    finally:
        bench.hosts.restart(1)


def test_a_cable_is_out_for_a_while(bench: Bench, begin: Begin) -> None:
    run = begin(0.3)
    run.wait_for(60)
    bench.hosts.unplug(2)
    try:
        time.sleep(25)
        bench.hosts.plug(2)
        ended_well(bench, run)
    finally:
        bench.hosts.restart(2)


def test_a_cable_is_out_for_good(bench: Bench, begin: Begin) -> None:
    run = begin(0.1)
    run.wait_for(60)
    bench.hosts.unplug(3)
    out = time.monotonic()
    try:
        ended_well(bench, run)
        assert time.monotonic() - out < 120
        assert "was lost" in run.printed[1] or "is overdue" in run.printed[1]
    finally:
        bench.hosts.restart(3)


def test_a_host_stands_still(bench: Bench, begin: Begin) -> None:
    run = begin(0.3)
    run.wait_for(60)
    still = bench.hosts.workers(1)
    assert still
    for process in still:
        os.kill(process, signal.SIGSTOP)
    try:
        ended_well(bench, run)
        assert "was lost" in run.printed[1] or "is overdue" in run.printed[1]
    finally:
        for process in still:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def test_a_chunk_is_overdue(bench: Bench, begin: Begin) -> None:
    """Another host reads the same files as well, and its answer counts, as it comes first."""
    run = begin()
    (run.marks / f"{SLOW}{SLOWEST}").touch()
    ended_well(bench, run)
    assert "is overdue" in run.printed[1]
    assert "was lost" not in run.printed[1]


def test_the_driver_is_killed(bench: Bench, begin: Begin) -> None:
    run = begin(0.05)
    run.wait_for(100)
    run.process.kill()
    assert run.end() == -signal.SIGKILL
    ended_well(bench, begin(0.0))


def test_ctrl_c(bench: Bench, begin: Begin) -> None:
    run = begin(0.1)
    run.wait_for(150)
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 130, run.printed
    assert verify(run.database) == []
    counts = run.summary
    ends = sum(counts[name] for name in ("done", "duplicate", "skipped", "failed", "left"))
    assert counts["interrupted"]
    assert ends == counts["total"] == PICTURES + TWINS + OTHERS
    assert counts["left"] > 0
    ended_well(bench, begin(0.0))


def test_files_that_end_what_reads_them(bench: Bench, begin: Begin, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    shutil.copytree(bench.archive, archive)
    write_pictures(archive / "100-poison", 1, 2000)
    write_pictures(archive / "200-crash", 1, 2001)
    run = begin(0.0, archive)
    assert run.end() == 0, run.printed
    assert verify(run.database) == []
    found = database_state(run.database)
    failed = {name: reason for _, name, status, reason, _ in found["files"] if status == "failed"}
    ended = {name: reason for name, reason in failed.items() if "broken" not in name}
    assert ended == {
        "100-poison/000.png": "decoder_crashed",
        "200-crash/000.png": "decoder_crashed",
    }
    for name in ended:
        (archive / name).unlink()
        (archive / name).parent.rmdir()
    again = begin(0.0, archive, "--prune", "--yes")
    ended_well(bench, again)


def test_a_host_with_another_key_is_refused(bench: Bench, begin: Begin) -> None:
    key = bench.hosts.key(2)
    mine = key.read_bytes()
    try:
        key.write_bytes(b"x" * 32)
        run = begin()
        assert run.end() == 15
        assert f"host {bench.hosts.address(2)} " in run.printed[1]
        assert fingerprint(b"x" * 32) in run.printed[1]
        key.unlink()
        run = begin()
        assert run.end() == 15
        assert f"host {bench.hosts.address(2)} " in run.printed[1]
        assert "there is no id key" in run.printed[1]
        assert not run.database.exists()
    finally:
        key.write_bytes(mine)
        key.chmod(0o600)


def test_a_host_joins(bench: Bench, begin: Begin) -> None:
    bench.hosts.kill(2)
    bench.hosts.kill(3)
    try:
        run = begin(0.2)
        run.wait_for(20)
        bench.hosts.restart(2)
        ended_well(bench, run)
        assert bench.hosts.address(2) in {s["host"] for s in run.summary["stages"]["stages"]}
    finally:
        bench.hosts.restart(3)
