"""Runs that are refused, and how runs end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.database.reader import DatabaseReader
from indexer.database.upkeep.verify import verify
from indexer.database.writing import bundle_change
from indexer.database.writing.stores import Stores
from indexer.errors import (
    ArchiveError,
    DatabaseError,
    DatabaseLocked,
    DatabaseMismatch,
    DiskFullError,
)
from tests.pipeline.conftest import Index
from tests.pipeline.making import (
    database_state,
    make_bundle,
    write_pictures,
)

POSIX = pytest.mark.skipif(os.name != "posix", reason="uses POSIX signals")


def test_a_database_is_brought_to_another_bundle(
    run: Index, archive: Path, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(archive)
    other = make_bundle(tmp_path / "other", "other", seed=1)
    # Stopped in the middle of the change, it is finished by the next run.
    with monkeypatch.context() as broken:
        broken.setattr(bundle_change, "sweep_thumbnails", _stop)
        with pytest.raises(RuntimeError, match="stopped"):
            run(archive, compute=Compute(other.path, "cpu"), reread=True)
    assert run(archive, compute=Compute(other.path, "cpu"), reread=True).done == 6
    assert verify(database) == []
    run(archive, compute=Compute(other.path, "cpu"), database=tmp_path / "fresh")
    assert database_state(tmp_path / "fresh") == database_state(database)
    with pytest.raises(DatabaseMismatch, match="--reread"):
        run(archive)


def _stop(stores: Stores) -> None:
    raise RuntimeError("stopped")


def test_another_bundle_loses_no_archive(run: Index, archive: Path, tmp_path: Path) -> None:
    more = write_pictures(tmp_path / "more", 2, first=50)
    run(archive, more)
    other = make_bundle(tmp_path / "other", "other", seed=1)
    with pytest.raises(DatabaseMismatch, match="more"):
        run(archive, compute=Compute(other.path, "cpu"), reread=True)
    assert run(archive, more, compute=Compute(other.path, "cpu"), reread=True).done == 8


def test_another_bundle_is_refused(run: Index, archive: Path, tmp_path: Path) -> None:
    run(archive)
    other = make_bundle(tmp_path / "other", "other", seed=1)
    with pytest.raises(DatabaseMismatch, match="`bundle`"):
        run(archive, compute=Compute(other.path, "cpu"))


def test_another_id_key_is_refused(
    run: Index, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(archive)
    monkeypatch.setenv("CXRDEX_KEY_FILE", str(tmp_path / "otherkey"))
    with pytest.raises(DatabaseMismatch, match="CXRDEX_KEY_FILE"):
        run(archive)


def test_a_missing_archive_makes_no_database(run: Index, tmp_path: Path, database: Path) -> None:
    with pytest.raises(ArchiveError, match="nowhere"):
        run(tmp_path / "nowhere")
    with pytest.raises(ArchiveError, match="nothing"):
        run(write_pictures(tmp_path / "a", 1), reports=tmp_path / "nothing")
    assert not database.exists()


def test_missing_reports_are_called_so(run: Index, archive: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"no reports can be read: .*nowhere: No such file"):
        run(archive, reports=tmp_path / "nowhere")


def test_a_folder_that_cannot_be_a_database(run: Index, archive: Path, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="not empty"):
        run(archive, database=archive)
    with pytest.raises(DatabaseError, match=r"000\.png"):
        run(archive, database=archive / "000.png" / "db")


@pytest.mark.skipif(os.name != "posix", reason="groups are known on Unix alone")
def test_a_refused_run_leaves_neither_a_key_nor_half_a_database(
    run: Index,
    archive: Path,
    database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = tmp_path / "new" / "key"
    monkeypatch.setenv("CXRDEX_KEY_FILE", str(key))
    with pytest.raises(DatabaseError):
        run(archive, group="nosuchgroup")
    assert not list(key.parent.iterdir()), "no key, nor the draft of one"
    # What was left would hold this run to a key that is nowhere.
    assert run(archive).done == 6
    assert verify(database) == []
    # What is refused later on changes nothing of what is there.
    with pytest.raises(DatabaseError):
        run(archive, group="nosuchgroup")
    assert run(archive).unchanged == 6


@POSIX
def test_a_second_writer_is_refused(run: Index, archive: Path, database: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from indexer.database.layout import Layout\n"
        f"with Layout(Path({str(database)!r})).lock():\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    run(archive, limit=1)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DatabaseLocked, match=f"{holder.pid}"):
            run(archive)
        holder.communicate("")
    assert run(archive).done == 5


_FULL_DISK = """
import sys
from pathlib import Path
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.errors import DiskFullError
from indexer.pipeline.options import FileProcessing
from indexer.pipeline.run import index
from indexer.pipeline.stages import model

model._COMMIT_FILES = 40
if __name__ == "__main__":
    archive, database, bundle = map(Path, sys.argv[1:])
    try:
        index([archive], database, compute=Compute(bundle, "cpu"),
              processing=FileProcessing(workers=1))
    except DiskFullError as error:
        print(error)
        sys.exit(9)
"""


@POSIX
def test_a_full_disk_is_named_and_what_was_committed_is_safe(
    run: Index, tiny: Bundle, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    archive = write_pictures(tmp_path / "many", 400)
    script = tmp_path / "full.py"
    script.write_text(_FULL_DISK)
    inside = (
        f"mount -t tmpfs -o size=1m none {disk} && "
        f"{sys.executable} {script} {archive} {disk}/db {tiny.path}; code=$?; "
        f"rm -f {disk}/db/scratch.sqlite*; cp -r {disk}/db {tmp_path}/saved; exit $code"
    )
    probe = subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("no small disk can be mounted here")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    answer = subprocess.run(
        ["unshare", "-rm", "sh", "-c", inside],
        capture_output=True, text=True, timeout=200, env=environment, check=False,
    )  # fmt: skip
    assert answer.returncode == 9, answer.stderr
    # Which of its files meets the end of the disk depends on how many commits there were.
    assert re.search(f"no space is left (to write|for the text index at) {disk}/db", answer.stdout)
    with DatabaseReader.open(tmp_path / "saved") as opened:
        saved = len(opened)
    assert 0 < saved < 400
    assert verify(tmp_path / "saved") == []
    assert run(archive, database=tmp_path / "saved").done == 400 - saved
    assert verify(tmp_path / "saved") == []


def test_any_write_error_of_a_full_disk_is_told(
    run: Index, archive: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DiskFullError, match="db"):
            run(archive)
    assert run(archive).done == 6
    assert verify(database) == []


_INTERRUPTED = """
import json, sys, time
from pathlib import Path
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.pipeline.options import FileProcessing
from indexer.pipeline.run import index

def show(progress):
    if progress.done > 20:
        print("reading", flush=True)

if __name__ == "__main__":
    archive, database, bundle = map(Path, sys.argv[1:])
    summary = index(
        [archive], database, compute=Compute(bundle, "cpu"), processing=FileProcessing(workers=1),
        progress=show,
    )
    print(json.dumps([summary.interrupted, summary.done, summary.left]))
"""


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_commits_what_was_read(
    run: Index, tiny: Bundle, tmp_path: Path, database: Path, number: signal.Signals
) -> None:
    archive = write_pictures(tmp_path / "many", 1500)
    script = tmp_path / "interrupted.py"
    script.write_text(_INTERRUPTED)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(script), str(archive), str(database), str(tiny.path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        start_new_session=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == "reading\n"
        sent = time.monotonic()
        os.killpg(child.pid, number)  # as a terminal does: the workers get it, too
        output, errors = child.communicate(timeout=60)
    assert time.monotonic() - sent < 30
    assert child.returncode == 0, errors
    assert errors == ""
    interrupted, done, left = json.loads(output.splitlines()[-1])
    assert interrupted
    assert 20 < done < 1500
    assert done + left == 1500
    assert verify(database) == []
    with DatabaseReader.open(database) as opened:
        last = opened.last_run()
        assert last is not None
        assert last.state == "interrupted"
        assert len(opened) == done
