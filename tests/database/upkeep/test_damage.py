"""Every file of a database, flipped, zeroed, cut, emptied and deleted, one at a time.

Each is noticed by `verify`, mended or named by `verify --repair`, and a search answers rightly or
says what is broken.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import cxrdex
from indexer.database.checksums.single import Seal
from indexer.database.cohorts.store import Cohorts
from indexer.database.sqlite import connect
from indexer.database.upkeep.repair import repair
from indexer.database.upkeep.verify import verify
from indexer.database.writer import Writer
from indexer.errors import CxrdexError, DatabaseError
from tests.database.making import entry, image_id, opened
from tests.database.upkeep.whole_database import COUNT, PER_SHARD, answers

# Locks hold nothing, and logs of closed SQLite files are empty.
_WITHOUT_CONTENT = (".lock", "-wal", "-shm")


def _flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "flipped": _flip,
    "zeroed": lambda data: bytes(len(data)),
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "deleted": lambda data: None,
}


def _asked(path: Path) -> dict[str, Any] | str:
    """The answers, or the error in their place; anything else ends the test."""
    try:
        return answers(path)
    except CxrdexError as error:
        return str(error)


def _without_what_is_lost(right: dict[str, Any], name: Path) -> dict[str, Any]:
    """The answers of a database of which a file was lost and all else mended."""
    if name.name == "thumbnails.sqlite":
        return {**right, "pictures": [None] * COUNT}
    if name.parts[0] != "embeddings":
        return right
    first = PER_SHARD * (int(name.name[5:11]) - 1)
    gone = range(first, first + PER_SHARD)
    ids = {image_id(n) for n in gone}
    kept = [place for place, image in enumerate(right["ids"]) if image not in ids]
    return {
        "ids": [right["ids"][place] for place in kept],
        "texts": {k: v for k, v in right["texts"].items() if k not in ids},
        "documents": {k: v for k, v in right["documents"].items() if k not in ids},
        "nearest": [image for n, image in enumerate(right["nearest"]) if n not in gone],
        "pictures": [right["pictures"][place] for place in kept],
        "files": [file for file in right["files"] if int(file.partition(".")[0]) not in gone],
        "shown": [right["shown"][place] for place in kept],
        "cohorts": right["cohorts"],
    }


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_file(whole: Path, tmp_path: Path, damage: str) -> None:
    right = answers(whole)
    names = [
        path.relative_to(whole)
        for path in sorted(whole.rglob("*"))
        if path.is_file() and not path.name.endswith(_WITHOUT_CONTENT)
    ]
    assert len(names) > 15
    mended, named = set(), set()
    for name in names:
        path = tmp_path / "db"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(whole, path)
        data = (path / name).read_bytes()
        broken = DAMAGES[damage](data)
        if broken == data:
            continue
        if broken is None:
            if name.parts[0] == "semantic":
                # A cache that is made again, and of which a database need have none.
                continue
            (path / name).unlink()
        else:
            (path / name).write_bytes(broken)
            # The time as it was: a disk that rots does not change it.
            status = (whole / name).stat()
            os.utime(path / name, ns=(status.st_atime_ns, status.st_mtime_ns))
        answer = _asked(path)
        words = ("damaged", "no database", "missing")
        assert answer == right or any(word in str(answer) for word in words), (name, answer)
        problems = verify(path)
        assert problems, f"{name} is not noticed"
        result = repair(path)
        if not result.problems:
            mended.add(name.name)
            assert verify(path) == []
            assert result.done, f"{name} was mended without a word"
            lost = [done for done in result.done if done.what == "lost"]
            assert answers(path) == _without_what_is_lost(right, name)
            if name.parts[0] not in ("embeddings", "thumbnails.sqlite"):
                assert lost == []
                continue
            (one,) = lost
            count = COUNT if name.name == "thumbnails.sqlite" else PER_SHARD
            assert (one.count, f"{count} images" in one.detail) == (count, True), one
            assert str(one.then).startswith("index the archive again")
            assert one.where == ("shards" if one.shard else "thumbnails")
        else:
            named.add(name.name)
            assert any(name.name in problem.detail for problem in problems), (name, problems)
    assert named == {"ledger.sqlite", "cohorts.sqlite"}
    assert {"manifest.json", "meta.json", "index.faiss", "thumbnails.sqlite"} <= mended
    assert {"labels.sqlite", "labels.checksum.json", "cohorts.checksum.json"} <= mended
    assert image_id(1) in right["ids"]


@pytest.mark.parametrize("name", ["cohorts.sqlite", "labels.sqlite"])
def test_every_byte_of_what_people_said(whole: Path, tmp_path: Path, name: str) -> None:
    for end in ("sqlite", "checksum.json"):
        shutil.copy(whole / f"{name.partition('.')[0]}.{end}", tmp_path)
    seal, data = Seal(tmp_path / name), (tmp_path / name).read_bytes()
    assert seal.damage() is None
    # Free space, too, which SQLite itself does not look at.
    for place in range(0, len(data), 37):
        flipped = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        (tmp_path / name).write_bytes(flipped)
        assert str(seal.damage()) == f"{name} was changed"


def test_free_space_of_cohorts_is_mended_without_losing_one(whole: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(whole, tmp_path / "db"))
    file = path / "cohorts.sqlite"
    data = bytearray(file.read_bytes())
    # Between the cells of a page, which are at its end, and its header.
    free = data.index(bytes(64), 4096)
    data[free + 9] ^= 1
    file.write_bytes(data)
    assert [(p.where, p.what) for p in verify(path)] == [("cohorts", "checksum")]
    # A change meanwhile does not hide it.
    Cohorts(file).add("Later", "ann")
    assert [(p.where, p.what) for p in verify(path)] == [("cohorts", "checksum")]
    assert repair(path).problems == ()
    assert {cohort.name for cohort in Cohorts(file).all()} == {"Teaching", "Later"}


def test_lost_cohorts_are_not_taken_for_none(whole: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(whole, tmp_path / "db"))
    (path / "cohorts.sqlite").unlink()
    for use in (Cohorts.all, lambda cohorts: cohorts.add("New", "ann")):
        with pytest.raises(DatabaseError, match=r"cohorts\.sqlite is missing"):
            use(Cohorts(path / "cohorts.sqlite"))
    assert [(p.where, p.what) for p in repair(path).problems] == [("cohorts", "missing")]
    # As the advice says.
    (path / "cohorts.checksum.json").unlink()
    assert verify(path) == []


def test_a_database_of_before_has_no_checksums_to_lose(whole: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(whole, tmp_path / "db"))
    for name in ("cohorts", "labels"):
        with closing(sqlite3.connect(path / f"{name}.sqlite")) as connection:
            connection.execute("PRAGMA user_version = 0")
        (path / f"{name}.checksum.json").unlink()
    (path / "checksums.json").unlink()
    assert verify(path) == []
    with Writer.maintain(path):
        pass
    assert verify(path) == []
    (path / "checksums.json").unlink()
    assert [(p.where, p.what) for p in verify(path)] == [("text", "checksums")]


def test_killed_before_a_checksum_was_written(whole: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(whole, tmp_path / "db"))
    with closing(connect(path / "labels.sqlite", write=True)) as connection, connection:
        connection.execute("BEGIN IMMEDIATE")
        Seal(path / "labels.sqlite").open(connection)
        connection.execute("UPDATE labels SET image_id = image_id")
    assert Seal(path / "labels.sqlite").is_open
    assert verify(path) == []
    with Writer.maintain(path):
        pass
    assert not Seal(path / "labels.sqlite").is_open
    assert verify(path) == []


def _index(path: Path) -> None:
    with opened(path) as writer:
        writer.commit([entry(COUNT)])
        writer.end_run("complete", {})


def test_a_folder_where_a_file_should_be_is_named(whole: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(whole, tmp_path / "db"))
    derived = ("text", "vectors")
    names = [
        name
        for item in sorted(path.rglob("*"))
        if (name := item.relative_to(path)).parts[0] not in derived or len(name.parts) == 1
    ]
    names.remove(Path("semantic"))
    assert {Path("manifest.json"), Path("labels.sqlite"), Path("text")} < set(names)
    for name in names:
        (path / name).rename(tmp_path / "aside")
        if (tmp_path / "aside").is_dir():
            (path / name).write_bytes(b"a file")
        else:
            (path / name).mkdir()
        for ask in (answers, verify, repair, _index):
            with pytest.raises(DatabaseError) as caught:
                ask(path)
            assert f"{path / name} is a " in str(caught.value)
            assert "remove it" in str(caught.value)
        (path / name).unlink() if (path / name).is_file() else (path / name).rmdir()
        (tmp_path / "aside").rename(path / name)
    assert answers(path) == answers(whole)


@pytest.mark.parametrize("name", ["ledger.sqlite", "manifest.json", "labels.sqlite", "text"])
@pytest.mark.parametrize("kind", ["pipe", "circle", "nowhere"])
def test_pipes_and_broken_links_are_named_and_never_waited_for(
    whole: Path, tmp_path: Path, name: str, kind: str
) -> None:
    path = Path(shutil.copytree(whole, tmp_path / "db"))
    (path / name).rename(tmp_path / "aside")
    if kind == "pipe":
        os.mkfifo(path / name)
    else:
        (path / name).symlink_to(name if kind == "circle" else "nothing")
    for ask in (answers, verify, repair):
        with pytest.raises(DatabaseError) as caught:
            ask(path)
        assert f"{path / name} is a " in str(caught.value)
        assert "remove it" in str(caught.value)
    with pytest.raises(DatabaseError):
        _index(path)
    done = CliRunner().invoke(cxrdex, ["status", "--database", str(path)])
    assert done.exit_code == 4, done.output


def test_a_file_in_place_of_the_folder_of_meanings_goes(whole: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(whole, tmp_path / "db"))
    shutil.rmtree(path / "semantic")
    (path / "semantic").write_bytes(b"a file")
    assert answers(path) == answers(whole)
    assert [(p.where, p.what) for p in verify(path)] == [("semantic", "damaged")]
    repair(path)
    assert verify(path) == []
    assert not (path / "semantic").exists()


def test_a_folder_inside_what_is_derived_is_built_anew(whole: Path, tmp_path: Path) -> None:
    generation = next((whole / "vectors").glob("generation-*")).name
    for name in ("text/meta.json", f"vectors/{generation}/index.faiss"):
        path = Path(shutil.copytree(whole, tmp_path / "db"))
        (path / name).unlink()
        (path / name).mkdir()
        assert name in str(_asked(path)) or _asked(path) == answers(whole)
        assert [problem.what for problem in verify(path)] == ["damaged"]
        assert repair(path).problems == ()
        assert answers(path) == answers(whole)
        shutil.rmtree(path)


def test_a_folder_ends_no_command_with_a_traceback(whole: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(whole, tmp_path / "db"))
    (path / "thumbnails.sqlite").unlink()
    (path / "thumbnails.sqlite").mkdir()
    for words in (
        ["search", "opacity"], ["similar", image_id(1)], ["show", image_id(1)], ["status"],
        ["verify"], ["verify", "--repair"], ["backup", str(tmp_path / "copy")],
    ):  # fmt: skip
        done = CliRunner().invoke(cxrdex, [*words, "--database", str(path)])
        assert done.exit_code == 4, (words, done.output)
        assert "thumbnails.sqlite is a folder" in done.output
