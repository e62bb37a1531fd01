from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from indexer.archive.reports import Report
from indexer.database.checksums.folder import seal
from indexer.database.reader import DatabaseReader
from indexer.database.text import documents
from indexer.database.text.documents import Document
from indexer.database.text.store import open_text_store
from indexer.database.text.tantivy.store import EmbeddedTextStore
from indexer.database.upkeep.repair import repair
from indexer.database.upkeep.verify import verify
from indexer.database.vectors.shards import write_shard
from indexer.errors import DatabaseLocked
from search.language.query import parse
from search.stores.backend import TextQuery
from search.stores.tantivy.backend import EmbeddedBackend
from tests.database.making import DIMENSIONS, entry, fill, image_id, opened

COUNT = 30


def _sql(path: Path, file: str, *statements: str) -> None:
    connection = sqlite3.connect(path / file)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    # As if a writer had left it so.
    seal(path)


def _text(path: Path, change: str) -> None:
    with DatabaseReader.open(path) as database:
        document: Document = next(database.documents())
    store = open_text_store("tantivy", path / "text")
    if change == "delete":
        store.apply([], [document["id"]])
    elif change == "add":
        store.apply([{**document, "id": "f" * 16}], [])
    else:
        store.apply([{**document, "sex": "O"}], [])
    store.close()
    seal(path)


def _lose(path: Path, pattern: str) -> None:
    found = list(path.glob(pattern))
    assert found
    for item in found:
        shutil.rmtree(item) if item.is_dir() else item.unlink()


def _flip(path: Path, pattern: str) -> None:
    (file,) = path.glob(pattern)
    data = bytearray(file.read_bytes())
    data[-3] ^= 0xFF
    file.write_bytes(data)


def _swap_keys(path: Path) -> None:
    """A shard with a right checksum and wrong rows."""
    rows = np.eye(10, DIMENSIONS)
    checksum = write_shard(path / "embeddings", 1, rows, np.arange(10))
    _sql(path, "ledger.sqlite", f"UPDATE shards SET checksum = '{checksum}' WHERE number = 1")


def _other_keys(path: Path) -> None:
    np.save(path / "vectors/generation-000001/keys.npy", np.arange(COUNT))
    seal(path)


Damage = Callable[[Path], object]
THUMBNAILS = "thumbnails.sqlite"
# What is done to a database, what verify calls it, and how many images are left to be read again.
DAMAGES: dict[str, tuple[Damage, set[tuple[str, str]], int]] = {
    "a shard is missing": (
        lambda p: _lose(p, "embeddings/part-000002.npy"), {("shards", "missing")}, 10),
    "keys are missing": (
        lambda p: _lose(p, "embeddings/part-000001.keys.npy"), {("shards", "missing")}, 10),
    "a shard is damaged": (
        lambda p: _flip(p, "embeddings/part-000003.npy"),
        {("shards", "checksum")}, 10),
    "FAISS is missing": (lambda p: _lose(p, "vectors/*"), {("vectors", "missing")}, 0),
    "FAISS is damaged": (
        lambda p: (p / "vectors/generation-000001/index.faiss").write_bytes(b"x"),
        {("vectors", "damaged")}, 0),
    "FAISS has other keys": (
        _other_keys,
        {("vectors", "keys")}, 0),
    "the text store is missing": (lambda p: _lose(p, "text"), {("text", "missing")}, 0),
    "the text store is damaged": (
        lambda p: (p / "text/meta.json").write_text("{"), {("text", "damaged")}, 0),
    "a document is missing": (lambda p: _text(p, "delete"), {("text", "missing")}, 0),
    "a document is unknown": (lambda p: _text(p, "add"), {("text", "unknown")}, 0),
    "a document differs": (lambda p: _text(p, "change"), {("text", "different")}, 0),
    "a thumbnail is missing": (
        lambda p: _sql(p, THUMBNAILS, f"DELETE FROM thumbnails WHERE image_id = '{image_id(3)}'"),
        {("thumbnails", "missing")}, 1),
    "a thumbnail is unknown": (
        lambda p: _sql(p, THUMBNAILS, "INSERT INTO thumbnails VALUES ('ff', x'00')"),
        {("thumbnails", "unknown")}, 0),
    "thumbnails are damaged": (
        lambda p: (p / THUMBNAILS).write_bytes(b"words" * 999),
        {("thumbnails", "damaged")}, COUNT),
    "a hash differs": (
        lambda p: _sql(p, "ledger.sqlite",
            f"UPDATE images SET document_hash = 'no' WHERE image_id = '{image_id(3)}'"),
        {("ledger", "document_hash"), ("text", "different")}, 0),
    "a study is not pooled": (
        lambda p: _sql(p, "ledger.sqlite",
            f"UPDATE images SET pooled = NULL WHERE image_id = '{image_id(3)}'"),
        {("ledger", "pooled")}, 0),
    "a study is pooled otherwise": (
        lambda p: _sql(p, "ledger.sqlite",
            "UPDATE images SET pooled = json_set(pooled, '$.probabilities.opacity', 0.5) "
            f"WHERE image_id = '{image_id(3)}'"),
        {("ledger", "pooled"), ("ledger", "document_hash")}, 0),
    "an image without file": (
        lambda p: _sql(p, "ledger.sqlite", "DELETE FROM files WHERE name = '3.png'"),
        {("ledger", "image_without_file")}, 0),
    "a file without image": (
        lambda p: _sql(p, "ledger.sqlite",
            f"UPDATE files SET image_id = '{'e' * 16}' WHERE name = '3.png'"),
        {("ledger", "image_without_file"), ("ledger", "file_without_image")}, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_and_repaired(tmp_path: Path, name: str) -> None:
    damage, expected, _ = DAMAGES[name]
    path = fill(tmp_path / "db", COUNT)
    assert verify(path) == []
    damage(path)
    problems = verify(path)
    assert {(p.where, p.what) for p in problems} == expected
    assert all(p.detail and p.repair and p.count >= 0 for p in problems)
    assert repair(path).problems == ()
    assert verify(path) == []


@pytest.mark.parametrize("name", [n for n, (_, _, lost) in DAMAGES.items() if lost])
def test_what_is_lost_is_read_again_by_the_next_run(tmp_path: Path, name: str) -> None:
    damage, _, lost = DAMAGES[name]
    path = fill(tmp_path / "db", COUNT)
    damage(path)
    repair(path)
    with DatabaseReader.open(path) as database:
        # As the listing compares: a file that is unknown, or of another time.
        known = database.ledger.connection.execute(
            "SELECT count(*) FROM files WHERE mtime_ns = 20 AND checksum IS NOT NULL"
        ).fetchone()[0]
        assert known == COUNT - lost
        present = set(database.image_ids())
    with opened(path) as writer:
        again = [entry(n, read=image_id(n) not in present) for n in range(COUNT)]
        writer.commit(again)
        writer.build_vectors()
        writer.end_run("complete", {})
    assert verify(path) == []
    with DatabaseReader.open(path) as database:
        assert len(database) == COUNT
        assert all(database.thumbnail(image_id(n)) for n in range(COUNT))


def test_rows_that_belong_to_other_images_are_found(tmp_path: Path) -> None:
    path = fill(tmp_path / "db", COUNT)
    _swap_keys(path)
    assert ("shards", "rows") in {(p.where, p.what) for p in verify(path)}
    assert repair(path).problems == ()
    with DatabaseReader.open(path) as database:
        assert len(database) == COUNT - 10


def test_a_database_being_written_is_not_verified(tmp_path: Path) -> None:
    path = fill(tmp_path / "db", 2)
    with opened(path), pytest.raises(DatabaseLocked):
        verify(path)


def test_readings_of_an_earlier_labeller_are_found_and_repaired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = Report("r", {"findings": "There is a nodule. No effusion."}, ())
    with monkeypatch.context() as earlier:
        earlier.setattr(documents, "read_report", lambda _: documents._NOTHING_READ)
        with opened(tmp_path / "db") as writer:
            writer.commit([entry(0), entry(1), entry(4)], lambda _: report)
            writer.build_vectors()
            writer.end_run("complete", {})
        assert verify(tmp_path / "db") == []
    (problem, *_) = verify(tmp_path / "db")
    assert (problem.where, problem.what, problem.count) == ("ledger", "document_hash", 3)
    assert repair(tmp_path / "db").problems == ()
    store = EmbeddedTextStore(tmp_path / "db" / "text")
    try:
        backend = EmbeddedBackend(store)
        assert backend.search(TextQuery(parse("disease:nodule"))).total == 3
        assert backend.search(TextQuery(parse('absent:"pleural effusion"'))).total == 3
    finally:
        store.close()
