from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from threading import Timer

import numpy as np
import pytest
from filelock import FileLock

from indexer.archive.deidentify import Metadata
from indexer.database.checksums.folder import seal
from indexer.database.layout import Layout
from indexer.database.ledger import outbox as pending
from indexer.database.outcomes import Header
from indexer.database.reader import DatabaseReader
from indexer.database.upkeep.repair import repair
from indexer.database.upkeep.verify import verify
from indexer.database.vectors.shards import id_from_key, vector_key, vector_keys
from indexer.database.writer import Writer
from indexer.database.writing import compaction as module
from indexer.database.writing.compaction import Compaction
from indexer.errors import DatabaseError, DatabaseLocked, DatabaseMismatch, NotFoundError
from tests.database.making import KEY, entry, failure, fill, image_id, make_bundle, opened, vector


def _ids(path: Path) -> set[str]:
    with DatabaseReader.open(path) as database:
        return set(database.image_ids())


def _texts(writer: Writer) -> set[str]:
    return {image for image, _ in writer.text.hashes()}


def test_keys_and_ids() -> None:
    ids = [image_id(n) for n in range(50)] + ["0" * 16, "f" * 16, "8" + "0" * 15]
    assert [id_from_key(key) for key in vector_keys(ids).tolist()] == ids
    assert [vector_key(i) for i in ids] == vector_keys(ids).tolist()


def test_a_commit_reaches_every_store(tmp_path: Path) -> None:
    path = fill(tmp_path / "db", 25)
    assert verify(path) == []
    with DatabaseReader.open(path) as database:
        assert len(database) == 25
        assert database.counts() == {"done": 25, "duplicate": 0, "skipped": 0, "failed": 0}
        assert len(list((path / "embeddings").glob("part-*.keys.npy"))) == 3
        record = database.image(image_id(7))
        assert record.document["annotations"][0]["text"] == "opacity, left"
        assert (record.document["study"], record.run.version) == ("000000000003", version("cxrdex"))
        assert database.thumbnail(image_id(7)) == b"picture 7"
        assert {d["id"] for d in database.documents()} == {image_id(n) for n in range(25)}
        assert set(database.image_ids(study="000000000003")) == {image_id(6), image_id(7)}
        near, keys = database.vectors().search(vector(7), 3)
        assert id_from_key(keys[0]) == image_id(7)
        assert near[0] == pytest.approx(1, abs=1e-3)
        with pytest.raises(NotFoundError, match="nothing"):
            database.image("nothing")


def test_a_commit_that_fails_leaves_nothing_and_may_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "db"
    broken = entry(99, read=False)
    with opened(path) as writer:
        writer.commit([entry(1)])
        with pytest.raises(DatabaseError, match="no reading"):
            writer.commit([entry(2), entry(3), broken])
        assert _ids(path) == {image_id(1)}
        assert _texts(writer) == {image_id(1)}
        writer.commit([entry(2), entry(3)])
        assert _ids(path) == {image_id(1), image_id(2), image_id(3)}
    assert verify(path) == []


def test_a_reader_keeps_its_moment(tmp_path: Path) -> None:
    path = fill(tmp_path / "db", 5)
    with DatabaseReader.open(path) as database:
        with opened(path) as writer:
            writer.commit([entry(100)])
            writer.remove_files(1, ["0.png"])
            writer.settle()
            writer.build_vectors()
        assert len(database) == 5
        assert set(map(id_from_key, database.vectors().search(vector(0), 9)[1])) == {
            image_id(n) for n in range(5)
        }
        database.refresh()
        expected = {image_id(n) for n in (1, 2, 3, 4, 100)}
        assert set(database.image_ids()) == expected
        assert set(map(id_from_key, database.vectors().search(vector(0), 9)[1])) == expected


def test_leftovers_of_a_killed_commit_are_removed(tmp_path: Path) -> None:
    path = fill(tmp_path / "db", 5)
    embeddings = path / "embeddings"
    for name in ("part-000002.npy", "part-000002.keys.npy", "part-000001.npy.tmp"):
        (embeddings / name).write_bytes(b"half")
    assert verify(path) == []
    with opened(path) as writer:
        assert len(list(embeddings.iterdir())) == 2
        writer.commit([entry(9)])
    assert len(list(embeddings.iterdir())) == 4


def test_the_outbox_survives_a_text_store_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fill(tmp_path / "db", 3)

    def fail(*_: object) -> None:
        raise RuntimeError("power cut")

    with opened(path) as writer:
        monkeypatch.setattr(writer.text, "apply", fail)
        with pytest.raises(RuntimeError, match="power cut"):
            writer.commit([entry(7)])
        assert len(writer.ledger.outbox.oldest()) == 1
    assert verify(path) == []
    with opened(path) as writer:
        assert writer.ledger.outbox.oldest() == []
        assert image_id(7) in _texts(writer)


@pytest.mark.parametrize("kept", [0, 1, 9])
def test_documents_that_wait_are_not_kept_twice_and_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    path = fill(tmp_path / "db", 3)
    monkeypatch.setattr(pending, "_KEPT", kept)
    with opened(path) as writer:
        with monkeypatch.context() as broken:
            broken.setattr(writer.text, "apply", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                # Of a study that is known, and of one that is new.
                writer.commit([entry(3), entry(6), entry(7)])
        with closing(sqlite3.connect(path / "ledger.sqlite")) as sql:
            assert sql.execute("SELECT document FROM outbox").fetchall() == [("",)] * len(
                writer.ledger.outbox.images()
            )
        known = [change.document or "" for change in writer.ledger.outbox.oldest()]
        assert sum(map(bool, known)) == min(kept, len(known))
        writer.outbox.drain()
        assert _texts(writer) == {image_id(n) for n in (0, 1, 2, 3, 6, 7)}
    assert verify(path) == []


def test_numbers_of_changes_that_were_undone_stand_for_others(tmp_path: Path) -> None:
    path = fill(tmp_path / "db", 3)
    with opened(path) as writer:
        outbox = writer.ledger.outbox
        writer.ledger.connection.execute("BEGIN")
        outbox.add(image_id(0), "upsert", "what never was")
        outbox.add(image_id(1), "upsert", "what never was")
        writer.ledger.connection.execute("ROLLBACK")
        with writer.ledger.transaction():
            outbox.add(image_id(2), "upsert")
            outbox.add(image_id(1), "delete")
        assert [change.document for change in outbox.oldest()] == [None, None]


def test_images_live_as_long_as_a_file_holds_them(tmp_path: Path) -> None:
    path = tmp_path / "db"
    other = Header("5" * 12, "6" * 12, Metadata(sex="F"), ())
    with opened(path) as writer:
        writer.commit([entry(1), entry(1, "twin", read=False, header=other), failure("bad")])
        assert writer.ledger.files.counts() == {
            "done": 1,
            "duplicate": 1,
            "skipped": 0,
            "failed": 1,
        }
        writer.remove_files(1, ["1.png"])
        assert writer.settle() == 0
        (document,) = list(DatabaseReader.open(path).documents())
        assert (document["sex"], document["study"]) == ("F", "5" * 12)
        # The same file with other pixels.
        writer.commit([entry(2, "twin")])
        assert _ids(path) == {image_id(1), image_id(2)}
        assert writer.settle() == 1
        assert _ids(path) == _texts(writer) == {image_id(2)}
        assert list(writer.thumbnails.ids()) == [image_id(2)]
        writer.commit([failure("twin")])
        assert writer.settle() == 1
        assert _texts(writer) == set()
        assert list((path / "embeddings").iterdir()) == []
    assert verify(path) == []


def test_many_small_shards_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SMALL_SHARDS", 4)
    monkeypatch.setattr(module, "_FULL_ROWS", 25)
    path = fill(tmp_path / "db", 60, per_shard=6)
    with DatabaseReader.open(path) as before:
        ids = sorted(before.image_ids())
        vectors = before.vectors().stored_vectors(vector_keys(ids))
        with opened(path) as writer:
            writer.remove_files(1, ["3.png", "17.png"])
            writer.settle()
            assert writer.compact() == Compaction(10, 2)
            assert [s.rows for s in writer.ledger.shards.all()] == [22, 24, 12]
            assert not writer.build_vectors() or writer.ledger.images.count == 58
        np.testing.assert_array_equal(before.vectors().stored_vectors(vector_keys(ids)), vectors)
    with opened(path) as writer:
        assert len(list((path / "embeddings").iterdir())) == 6
        assert writer.compact() == Compaction(0, 0)
    assert verify(path) == []
    kept = [i for i in ids if i not in (image_id(3), image_id(17))]
    with DatabaseReader.open(path) as after:
        assert sorted(after.image_ids()) == kept
        found = after.vectors().stored_vectors(vector_keys(kept))
        np.testing.assert_array_equal(found, vectors[[ids.index(i) for i in kept]])


def test_a_lost_text_store_is_filled_again(tmp_path: Path) -> None:
    import shutil

    path = fill(tmp_path / "db", 8)
    shutil.rmtree(path / "text")
    with opened(path) as writer:
        assert _texts(writer) == {image_id(n) for n in range(8)}


@pytest.mark.parametrize("mend", ["index", "repair"])
def test_a_text_store_of_an_earlier_version_is_built_anew(tmp_path: Path, mend: str) -> None:
    path = fill(tmp_path / "new", 8)
    (path / "text" / "schema.json").write_text('{"version": 1}')
    with closing(sqlite3.connect(path / "ledger.sqlite")) as sql, sql:
        sql.execute("UPDATE images SET document_hash = 'earlier'")
        # A document that an earlier version left to be sent lacks what this one has in it.
        waiting = json.dumps({"id": image_id(3)})
        sql.execute(
            "INSERT INTO outbox (image_id, op, document) VALUES (?, 'upsert', ?)",
            (image_id(3), waiting),
        )
    seal(path)
    assert {problem.where for problem in verify(path)} == {"ledger", "text"}
    if mend == "repair":
        assert repair(path).problems == ()
    with opened(path) as writer:
        assert _texts(writer) == {image_id(n) for n in range(8)}
        writer.end_run("complete", {})
    assert verify(path) == []


def test_refusals(tmp_path: Path) -> None:
    path = fill(tmp_path / "db", 1)
    with (
        pytest.raises(DatabaseMismatch, match="`bundle`"),
        Writer.open(path, make_bundle("ff" * 8), KEY),
    ):
        pass
    with (
        pytest.raises(DatabaseMismatch, match="CXRDEX_KEY_FILE"),
        Writer.open(path, make_bundle(), "ffffffff"),
    ):
        pass
    with opened(path), pytest.raises(DatabaseLocked, match="being written"), opened(path):
        pass
    text = (path / "manifest.json").read_text()
    (path / "manifest.json").write_text(text.replace('"format": 1', '"format": 9'))
    with pytest.raises(DatabaseMismatch, match="format 9"):
        DatabaseReader.open(path)
    (path / "manifest.json").write_text("{")
    with pytest.raises(DatabaseError, match="damaged"):
        DatabaseReader.open(path)
    with pytest.raises(DatabaseError, match="cxrdex index ARCHIVE --database"):
        DatabaseReader.open(tmp_path / "nowhere")
    with pytest.raises(DatabaseError, match="no database at"):
        Layout(tmp_path / "nowhere").read_manifest()


def test_a_lock_that_a_killed_process_leaves_is_waited_for(tmp_path: Path) -> None:
    """The system lets go of it a moment after the process is gone."""
    path = fill(tmp_path / "db", 2)
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True
    )
    left = FileLock(path / "writer.lock", thread_local=False)
    left.acquire()
    (path / "writer.pid").write_text(dead.stdout.decode())
    Timer(0.3, left.release).start()
    with Layout(path).lock():
        assert int((path / "writer.pid").read_text()) == os.getpid()
