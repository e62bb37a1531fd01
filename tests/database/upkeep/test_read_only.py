"""A database on a mount that nobody may write: its owner and other users search it alike."""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import faiss
import pytest
from click.testing import CliRunner

from cli.main import cxrdex
from tests.database.making import entry, fill, image_id, opened

NOBODY = 65534
SEPARATOR = "\n--\n"
_NEW_MOUNTS, _BIND, _REMOUNT, _READ_ONLY = 0x20000, 0x1000, 0x20, 0x1
_PRIVATE_BELOW = 0x40000 | 0x4000


def _mount_read_only(path: Path) -> None:
    """Make a folder read-only for this process, which gets mounts of its own.

    Raises
    ------
    OSError
        Mounts cannot be made here.
    """
    system, place = ctypes.CDLL(None, use_errno=True), os.fsencode(path)

    def check(code: int) -> None:
        if code:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    check(system.unshare(_NEW_MOUNTS))
    check(system.mount(None, b"/", None, _PRIVATE_BELOW, None))
    check(system.mount(place, place, None, _BIND, None))
    check(system.mount(None, place, None, _BIND | _REMOUNT | _READ_ONLY, None))


def _read_only(path: Path, user: int, task: Callable[[], str]) -> str:
    """What a fork of this process says, of another user, for whom the folder cannot be written."""
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(here)
            _mount_read_only(path)
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            output = task()
        except BaseException:  # noqa: BLE001 - told to the parent
            output = traceback.format_exc()
        os.write(there, output.encode())
        os._exit(0)
    os.close(there)
    with os.fdopen(here) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer


@pytest.fixture(scope="module", autouse=True)
def _mounts(tmp_path_factory: pytest.TempPathFactory) -> None:
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root may mount, and act as another user")
    folder = tmp_path_factory.mktemp("mount")
    answer = _read_only(folder, 0, lambda: str(os.access(folder, os.W_OK)))
    if answer != "False":
        pytest.skip(f"nothing can be mounted here: {answer.splitlines()[-1]}")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads of FAISS do not live in a fork, which would wait for them."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(before)


@pytest.fixture
def database() -> Iterator[Path]:
    """Nine images, in a folder that every user may look into."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield fill(Path(folder) / "db", 9)


def _open_to_all(path: Path) -> None:
    for folder, _, files in os.walk(path):
        os.chmod(folder, 0o755)
        for name in files:
            os.chmod(os.path.join(folder, name), 0o644)


def _answers(path: Path) -> str:
    """What the commands that only read say, of every store."""
    given = (
        ["search", "opacity", "--images", "--format", "json"],
        ["search", "left opacity", "--filter", "view:frontal", "--format", "ids"],
        ["similar", image_id(7), "--images", "--format", "json"],
        ["show", image_id(7), "--format", "json"],
        ["status", "--format", "json"],
        ["failures", "--format", "json"],
        ["verify", "--format", "json"],
    )
    lines = []
    for words in given:
        result = CliRunner().invoke(cxrdex, [*words, "--database", str(path)])
        lines.append(f"{words[0]} {result.exit_code} {result.output}")
    return SEPARATOR.join(lines)


@pytest.mark.parametrize("user", [0, NOBODY])
@pytest.mark.parametrize("logs", ["kept", "left out of the copy"])
def test_all_that_only_reads_answers_as_ever(database: Path, user: int, logs: str) -> None:
    expected = _answers(database)
    assert f'"{image_id(7)}"' in expected
    assert expected.count(" 0 ") >= 7
    if logs != "kept":
        for log in (*database.glob("*-wal"), *database.glob("*-shm"), *database.glob("*.lock")):
            log.unlink()
    _open_to_all(database)
    before = {path: path.stat().st_mtime_ns for path in database.rglob("*")}
    assert _read_only(database, user, lambda: _answers(database)) == expected
    assert {path: path.stat().st_mtime_ns for path in database.rglob("*")} == before


def test_a_file_that_this_user_may_not_read_is_never_called_damaged(database: Path) -> None:
    _answers(database)
    _open_to_all(database)
    for path in sorted(p for p in database.rglob("*") if p.is_file()):
        path.chmod(0o600)
        answers = _read_only(database, NOBODY, lambda: _answers(database)).split(SEPARATOR)
        path.chmod(0o644)
        refused = [answer for answer in answers if answer.split()[1] != "0"]
        assert all(f" 4 Error: this user may not read {path}:" in answer for answer in refused), (
            path,
            refused,
        )
        # Which commands need it differs; verify compares all.
        assert refused[-1].startswith("verify ")


@pytest.mark.parametrize("user", [0, NOBODY])
def test_a_snapshot_of_a_database_that_was_being_written(database: Path, user: int) -> None:
    copy, other = database.parent / "copy", database.parent / "other"
    with opened(database) as writer:
        writer.commit([entry(50)])
        shutil.copytree(database, copy)
        writer.end_run("complete", {})
    shutil.copytree(copy, other)
    _open_to_all(copy)

    def status(path: Path) -> str:
        words = ["status", "--format", "json", "--database", str(path)]
        answer = CliRunner().invoke(cxrdex, words)
        return f"{answer.exit_code} {answer.output}"

    expected = status(other)
    assert '"indexed": 10' in expected
    assert _read_only(copy, user, lambda: status(copy)) == expected
    for log in copy.glob("*-shm"):
        log.unlink()
    output = _read_only(copy, user, lambda: status(copy))
    assert output.startswith(f"4 Error: {copy / 'ledger.sqlite'} was copied while it was written")
    for log in copy.glob("*-wal"):
        log.write_bytes(b"")
    assert _read_only(copy, user, lambda: status(copy)).startswith("0 {")
