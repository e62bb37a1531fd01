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

import pytest
from click.testing import CliRunner

from cli.main import cxrdex
from indexer.database.cohorts.store import Cohorts
from indexer.database.labels.events import Draft
from indexer.database.ledger.labels import LabelFile
from indexer.database.reader import DatabaseReader
from indexer.database.seals.single import Seal
from indexer.database.sqlite import connect
from indexer.database.text.meanings import meanings
from indexer.database.text.store import open_text_store
from indexer.database.vectors.shards import id_from_key
from indexer.database.verify import repair, verify
from indexer.database.writer import Writer
from indexer.errors import CxrdexError, DatabaseError
from tests.database.making import entry, fill, image_id, opened, vector

COUNT = 12
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


def _answers(path: Path) -> dict[str, object]:
    """What every store of a database says."""
    with DatabaseReader.open(path) as database:
        store = open_text_store(database.manifest.text, database.layout.text)
        try:
            texts = dict(store.hashes())
        finally:
            store.close()
        vectors = database.vectors()
        ids = sorted(database.image_ids())
        return {
            "ids": ids,
            "texts": texts,
            "documents": {d["id"]: d for d in database.documents()},
            "nearest": [id_from_key(vectors.search(vector(n), 1)[1][0]) for n in range(COUNT)],
            "pictures": [database.thumbnail(image) for image in ids],
            "files": [f.name for f in database.ledger.files.records()],
            "shown": [database.image(image).document for image in ids],
            "cohorts": [c.name for c in Cohorts(database.layout.cohorts).all()],
        }


def _asked(path: Path) -> dict[str, object] | str:
    """The answers, or the error in their place; anything else ends the test."""
    try:
        return _answers(path)
    except CxrdexError as error:
        return str(error)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = fill(tmp_path_factory.mktemp("whole") / "db", COUNT, per_shard=6)
    meanings(path / "semantic", ["opacity, left"])
    labels = LabelFile(path / "labels.sqlite", write=True)
    labels.record(image_id(1), [Draft(action="reject", finding="opacity")], "ann")
    labels.close()
    with Writer.maintain(path):
        pass
    Cohorts(path / "cohorts.sqlite").add("Teaching", "ann", images=[image_id(1), image_id(2)])
    assert verify(path) == []
    return path


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_file(whole: Path, tmp_path: Path, damage: str) -> None:
    right = _answers(whole)
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
        if not repair(path):
            mended.add(name.name)
            assert verify(path) == []
            after = _answers(path)
            assert set(after["ids"]) <= set(right["ids"])  # type: ignore[call-overload]
        else:
            named.add(name.name)
            assert any(name.name in problem.detail for problem in problems), (name, problems)
    assert named == {"ledger.sqlite", "cohorts.sqlite"}
    assert {"manifest.json", "meta.json", "index.faiss", "thumbnails.sqlite"} <= mended
    assert {"labels.sqlite", "labels.checksum.json", "cohorts.checksum.json"} <= mended
    assert image_id(1) in right["ids"]  # type: ignore[operator]


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
    assert repair(path) == []
    assert {cohort.name for cohort in Cohorts(file).all()} == {"Teaching", "Later"}


def test_lost_cohorts_are_not_taken_for_none(whole: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(whole, tmp_path / "db"))
    (path / "cohorts.sqlite").unlink()
    for use in (Cohorts.all, lambda cohorts: cohorts.add("New", "ann")):
        with pytest.raises(DatabaseError, match=r"cohorts\.sqlite is missing"):
            use(Cohorts(path / "cohorts.sqlite"))
    assert [(p.where, p.what) for p in repair(path)] == [("cohorts", "missing")]
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
        for ask in (_answers, verify, repair, _index):
            with pytest.raises(DatabaseError) as caught:
                ask(path)
            assert f"{path / name} is a " in str(caught.value)
            assert "remove it" in str(caught.value)
        (path / name).unlink() if (path / name).is_file() else (path / name).rmdir()
        (tmp_path / "aside").rename(path / name)
    assert _answers(path) == _answers(whole)


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
    for ask in (_answers, verify, repair):
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
    assert _answers(path) == _answers(whole)
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
        assert name in str(_asked(path)) or _asked(path) == _answers(whole)
        assert [problem.what for problem in verify(path)] == ["damaged"]
        assert repair(path) == []
        assert _answers(path) == _answers(whole)
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
