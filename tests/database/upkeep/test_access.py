"""Who may read a database, and what is said to those who may not."""

from __future__ import annotations

import os
import shutil
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import faiss
import pytest
import tantivy  # noqa: F401 - another user may not read the folder that it is imported from
from click.testing import CliRunner

from cli.main import cxrdex
from indexer.database.access import give_to_group
from indexer.database.choices import Choices
from indexer.database.layout import Layout
from indexer.database.reader import DatabaseReader
from indexer.database.text.meanings import damaged, meanings
from indexer.database.text.store import open_text_store
from indexer.database.upkeep.repair import repair
from indexer.database.upkeep.verify import verify
from indexer.database.vectors.shards import id_from_key
from indexer.database.writer import Writer
from indexer.errors import CxrdexError
from tests.database.making import KEY, entry, fill, image_id, make_bundle, opened, vector

pytestmark = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="only root may act as another user"
)

NOBODY = 65534
# A group that no test machine lacks, and that nobody is not in.
DAEMON = 1


def _as_nobody(task: Callable[[], str], groups: tuple[int, ...] = ()) -> str:
    """What a fork of this process, of another user, says."""
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(here)
            os.setgroups(list(groups))
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            output = task()
        except CxrdexError as error:
            output = f"{type(error).__name__}: {error}"
        except BaseException:  # noqa: BLE001 - told to the parent
            output = traceback.format_exc()
        os.write(there, output.encode())
        os._exit(0)
    os.close(there)
    with os.fdopen(here) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer


def _search(path: Path) -> str:
    """Ask every store of a database."""
    with DatabaseReader.open(path) as database:
        store = open_text_store("tantivy", database.layout.text)
        texts = len(list(store.hashes()))
        store.close()
        near = id_from_key(database.vectors().search(vector(7), 1)[1][0])
        return f"{len(database)} {texts} {near} {database.thumbnail(image_id(7))!r}"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads of FAISS do not live in a fork, which would wait for them."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(before)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder that every user may look into."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    return tmp_path


def _modes(path: Path) -> dict[str, int]:
    """Permissions of a database's folder and of all in it."""
    below = {str(p.relative_to(path)): p.stat().st_mode & 0o7777 for p in path.rglob("*")}
    return {".": path.stat().st_mode & 0o7777, **below}


FOUND = f"9 9 {image_id(7)} b'picture 7'"


def test_by_default_nobody_else_reads_anything(place: Path) -> None:
    path = fill(place / "db", 9)
    for folder, _, files in os.walk(path):
        assert os.stat(folder).st_mode & 0o777 == 0o700, folder
        for name in files:
            assert os.stat(os.path.join(folder, name)).st_mode & 0o777 == 0o600, name
    output = _as_nobody(lambda: _search(path))
    assert output.startswith("DatabaseError: this user may not read")
    assert "--group" in output


def test_a_folder_above_that_may_not_be_entered_is_named(place: Path) -> None:
    path = fill(place / "home" / "deep" / "db", 2)
    (place / "home").chmod(0o700)
    output = _as_nobody(lambda: _search(path))
    assert output.startswith(f"DatabaseError: this user may not read {place / 'home'}:")
    (place / "home").chmod(0o711)
    assert "no database at" in _as_nobody(lambda: _search(place / "home" / "none"))


def test_a_command_says_that_this_user_may_not_read(place: Path) -> None:
    path = fill(place / "db", 2)
    words = [
        ["status", "--database", str(path)],
        ["verify", "--database", str(path)],
        ["compact", "--database", str(path)],
        ["doctor", "--privacy", str(path)],
    ]
    runner = CliRunner()
    for line in words:
        # What it needs is imported here, as the other user may not.
        runner.invoke(cxrdex, [*line, "--help"])
        runner.invoke(cxrdex, [text.replace(str(path), str(place / "none")) for text in line])

        def run(line: list[str] = line) -> str:
            result = runner.invoke(cxrdex, line)
            return f"{result.exit_code} {result.output}"

        output = _as_nobody(run)
        assert output.startswith(f"4 Error: this user may not read {path}"), (line, output)


def test_a_group_reads_and_searches(place: Path) -> None:
    path = place / "db"
    fill(path, 8)
    with Writer.open(path, make_bundle(), KEY, Choices(group="daemon")) as writer:
        writer.begin_run()
        writer.commit([entry(8)])
        writer.end_run("complete", {})
    assert "may not read" in _as_nobody(lambda: _search(path))
    assert _as_nobody(lambda: _search(path), (DAEMON,)) == FOUND
    # While another process writes, and from one commit to the next.
    with opened(path) as writer:
        writer.commit([entry(50)])
        assert _as_nobody(lambda: _search(path), (DAEMON,)).startswith("10 10 ")
        writer.end_run("complete", {})
    assert _as_nobody(lambda: _search(path), (DAEMON,)).startswith("10 10 ")


def test_who_may_only_read_verifies_and_is_told_why_nothing_is_repaired(place: Path) -> None:
    path = fill(place / "db", 8)
    give_to_group(path, "daemon")
    group = (DAEMON,)
    assert _as_nobody(lambda: str(verify(path)), group) == "[]"
    output = _as_nobody(lambda: str(repair(path).problems), group)
    assert output.startswith("DatabaseError: ")
    assert "cannot be written: Permission denied" in output
    with opened(path) as writer:
        assert _as_nobody(lambda: str(verify(path)), group).startswith("DatabaseLocked: ")
        writer.commit([entry(8)])
        writer.end_run("complete", {})
    # It keeps nobody from writing, and notices who did.
    wait, go = os.pipe()

    def between() -> str:
        with Layout(path).still():
            os.write(go, b"x")
            while not (path / "written").exists():
                pass
        return "nobody wrote"

    def write() -> None:
        os.read(wait, 1)
        with opened(path) as writer:
            writer.commit([entry(9)])
            writer.end_run("complete", {})
        (path / "written").touch()

    thread = Thread(target=write)
    thread.start()
    answer = _as_nobody(between, group)
    thread.join()
    assert answer.startswith("DatabaseLocked: ")
    assert "was written while it was read" in answer
    (path / "written").unlink()
    data = bytearray((path / "thumbnails.sqlite").read_bytes())
    data[-3] ^= 1
    (path / "thumbnails.sqlite").write_bytes(data)
    assert "thumbnails.sqlite was changed" in _as_nobody(lambda: str(verify(path)), group)


def test_a_copy_says_where_it_can_be_made(place: Path) -> None:
    path = fill(place / "db", 2)
    give_to_group(path, "daemon")
    closed, full = place / "closed", place / "full"
    closed.mkdir(mode=0o700)
    full.write_text("a file")
    targets = {
        closed: f"{closed} cannot be looked into (Permission denied)",
        closed / "copy": f"{closed / 'copy'} cannot be looked into (Permission denied)",
        place / "copy": f"{place / 'copy'} cannot be made, as {place} may not be written",
        full / "copy": f"{full / 'copy'} cannot be made, as {full} is no folder",
    }
    CliRunner().invoke(cxrdex, ["backup", str(place / "first"), "--database", str(path)])
    for target, found in targets.items():

        def run(target: Path = target) -> str:
            words = ["backup", str(target), "--database", str(path)]
            result = CliRunner().invoke(cxrdex, words)
            return f"{result.exit_code} {result.output}"

        right = "name a new folder for the copy, in one that this user may write"
        assert _as_nobody(run, (DAEMON,)) == f"4 Error: {found}: {right}\n"


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_what_readers_keep_is_read_by_whom_the_database_is(place: Path, mask: int) -> None:
    path = fill(place / "db", 2)
    before = os.umask(mask)
    try:
        meanings(path / "semantic", ["opacity, left"])
        modes = _modes(path)
        assert {modes.pop("."), modes.pop("semantic")} == {0o700}
        assert {modes[name] for name in modes if name.startswith("semantic/")} == {0o600}
        give_to_group(path, "daemon")
        meanings(path / "semantic", ["opacity, left", "opacity, right"])
        shutil.rmtree(path / "semantic")
        meanings(path / "semantic", ["opacity, right"])
    finally:
        os.umask(before)
    modes = _modes(path)
    assert {modes.pop("."), modes.pop("semantic")} == {0o2750}
    (kept,) = (path / "semantic").iterdir()
    assert modes[f"semantic/{kept.name}"] == 0o640
    assert kept.stat().st_gid == DAEMON
    assert _as_nobody(lambda: str(damaged(path / "semantic")), (DAEMON,)) == "[]"


def test_an_older_database_that_all_may_read(place: Path) -> None:
    path = fill(place / "db", 9)
    for folder, _, files in os.walk(path):
        os.chmod(folder, 0o755)
        for name in files:
            os.chmod(os.path.join(folder, name), 0o644)
    for log in path.glob("*-[ws]*"):
        log.unlink()
    assert _as_nobody(lambda: _search(path)) == FOUND
    # Its next write takes it from those who are not in its group.
    with opened(path) as writer:
        writer.end_run("complete", {})
    assert "may not read" in _as_nobody(lambda: _search(path))


def test_an_unknown_group_is_named(tmp_path: Path) -> None:
    choices = Choices(group="nosuchgroup")
    with (
        pytest.raises(CxrdexError, match="no group 'nosuchgroup'"),
        Writer.open(tmp_path / "db", make_bundle(), KEY, choices),
    ):
        pass
