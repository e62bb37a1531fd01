"""Every file of a database, flipped, zeroed, cut and emptied, one at a time.

Each is noticed by `verify`, mended or named by `verify --repair`, and a search answers rightly or
says what is broken.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from indexer.database.reader import Database
from indexer.database.text.meanings import meanings
from indexer.database.text.store import open_text_store
from indexer.database.vectors.shards import id_from_key
from indexer.database.verify import repair, verify
from indexer.errors import CxrdexError
from tests.database.making import fill, image_id, vector

COUNT = 12
# Locks hold nothing, and logs of closed SQLite files are empty.
_WITHOUT_CONTENT = (".lock", "-wal", "-shm")


def _flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "flipped": _flip,
    "zeroed": lambda data: bytes(len(data)),
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
}


def _answers(path: Path) -> dict[str, object]:
    """What every store of a database says."""
    with Database.open(path) as database:
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
        (path / name).write_bytes(broken)
        # The time as it was: a disk that rots does not change it.
        status = (whole / name).stat()
        os.utime(path / name, ns=(status.st_atime_ns, status.st_mtime_ns))
        answer = _asked(path)
        words = ("damaged", "no database")
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
    assert named == {"ledger.sqlite"}
    assert {"manifest.json", "meta.json", "index.faiss", "thumbnails.sqlite"} <= mended
    assert image_id(1) in right["ids"]  # type: ignore[operator]
