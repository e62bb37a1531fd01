"""What people said holds whatever becomes of the database around it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from indexer.annotation import Annotation
from indexer.database.labels.events import Draft
from indexer.database.layout import Layout
from indexer.database.ledger.labels import LabelFile
from indexer.database.reader import DatabaseReader
from indexer.database.text.store import open_text_store
from indexer.database.upkeep.backup import back_up
from indexer.database.upkeep.labels import apply_pending_labels
from indexer.database.upkeep.repair import repair
from indexer.database.upkeep.verify import verify
from indexer.database.writer import Writer
from indexer.database.writing.forgetting import Wanted
from indexer.errors import DatabaseError, DatabaseLocked, LabelsChanged
from tests.database.making import KEY, entry, fill, image_id, make_bundle, opened

# Images 0 and 1 are of one study, image 2 of another; all are read as "opacity, left".
IMAGE, MATE, OTHER = image_id(0), image_id(1), image_id(2)
REJECT = Draft(action="reject", finding="opacity")
ACCEPT = Draft(
    action="accept", finding="mass", annotation=Annotation.from_words("human", "mass", ["right"])
)


def record(path: Path, *drafts: Draft, image: str = IMAGE) -> None:
    file = LabelFile(Layout(path).labels, write=True)
    file.record(image, drafts, "ann")
    file.close()


def said(path: Path, image: str = IMAGE) -> tuple[list[str], list[str]]:
    """What the document of an image affirms and denies, which the text store has, too."""
    assert verify(path) == []
    with DatabaseReader.open(path) as database:
        (found,) = database.documents([image])
        assert database.image(image).document == found
    return (
        [f"{a['origin']}: {a['text']}" for a in found["annotations"]],
        [a["text"] for a in found["absent"]],
    )


READ: tuple[list[str], list[str]] = (["predicted: opacity, left"], [])
JUDGED = (["human: mass, right"], ["opacity"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three images, of which the first was judged."""
    fill(tmp_path / "db", 3)
    record(tmp_path / "db", REJECT, ACCEPT)
    return tmp_path / "db"


def test_it_is_seen_at_once_and_searched_once_it_was_brought_in(path: Path) -> None:
    with DatabaseReader.open(path) as database:
        assert [a["text"] for a in database.image(IMAGE).document["absent"]] == ["opacity"]
        (before,) = database.documents([IMAGE])
        assert before["absent"] == []
    assert apply_pending_labels(path) == 2
    assert apply_pending_labels(path) == 0
    assert said(path) == JUDGED


def test_the_images_of_a_pooled_study_share_it(path: Path) -> None:
    apply_pending_labels(path)
    assert said(path, MATE) == JUDGED
    assert said(path, OTHER) == READ


def test_the_text_store_has_it(path: Path) -> None:
    apply_pending_labels(path)
    store = open_text_store("tantivy", path / "text")
    with DatabaseReader.open(path) as database:
        documents = {image: database.ledger.images.get(image) for image in (IMAGE, MATE, OTHER)}
    assert dict(store.hashes()) == {i: row.document_hash for i, row in documents.items() if row}
    store.close()


def test_one_that_was_stopped_half_way_is_finished(path: Path) -> None:
    with Writer.maintain(path, text="untouched") as writer:
        assert writer.ledger.labels.newest == 2
        assert not writer.ledger.outbox.is_empty
    assert apply_pending_labels(path) == 0
    assert said(path) == JUDGED


def test_a_run_brings_it_in_with_its_next_commit(path: Path) -> None:
    with opened(path) as writer:
        record(path, ACCEPT, image=OTHER)
        with pytest.raises(DatabaseLocked):
            apply_pending_labels(path)
        assert writer.ledger.labels.newest == 2
        writer.commit([entry(7)])
        assert writer.ledger.labels.newest == 3
    assert said(path, OTHER) == (["predicted: opacity, left", "human: mass, right"], [])


def test_another_bundle_reads_the_image_anew(path: Path) -> None:
    apply_pending_labels(path)
    newer = make_bundle("f" * 16)
    with Writer.open(path, newer, KEY, other_bundle=True) as writer:
        writer.change_bundle(newer, ["/archive"])
        writer.begin_run()
        assert writer.compact(everything=True).dropped == 0
        writer.commit([entry(number) for number in range(3)])
        writer.build_vectors()
    assert said(path) == JUDGED


def test_a_pruned_image_keeps_it_until_it_is_compacted(path: Path) -> None:
    for compacted in (False, True):
        with opened(path) as writer:
            writer.remove_files(1, ["0.png", "1.png"])
            assert writer.settle() == 2
            if compacted:
                writer.compact(everything=True)
            writer.commit([entry(0), entry(1)])
            writer.build_vectors()
        assert said(path) == (READ if compacted else JUDGED)


def test_what_is_forgotten_leaves_no_byte(path: Path) -> None:
    apply_pending_labels(path)
    with Writer.maintain(path) as writer:
        writer.forget(Wanted("image", (IMAGE,), (IMAGE,), 0))
        assert writer.wipe() == []
    for file in path.rglob("*.sqlite*"):
        assert b"right" not in file.read_bytes(), file
    assert said(path, OTHER) == READ


def test_a_backup_has_all_of_it(path: Path, tmp_path: Path) -> None:
    apply_pending_labels(path)
    record(path, ACCEPT, image=OTHER)
    back_up(path, tmp_path / "copy")
    assert said(tmp_path / "copy") == JUDGED
    assert said(tmp_path / "copy", OTHER)[0][1] == "human: mass, right"


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_lost_file_is_taken_from_the_ledger(path: Path, damage: str) -> None:
    apply_pending_labels(path)
    file = Layout(path).labels
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(b"no SQLite" * 1000)
        with pytest.raises(DatabaseError, match="verify"):
            apply_pending_labels(path)
    assert [(p.where, p.what) for p in verify(path)] == [("labels", damage)]
    assert repair(path).problems == ()
    assert said(path) == JUDGED
    record(path, ACCEPT, image=OTHER)
    assert apply_pending_labels(path) == 1


def test_a_copy_of_before_gets_what_it_lacks(path: Path) -> None:
    file = Layout(path).labels
    apply_pending_labels(path)
    before = file.read_bytes()
    record(path, ACCEPT, image=OTHER)
    apply_pending_labels(path)
    file.write_bytes(before)
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    with Writer.maintain(path):
        pass
    with DatabaseReader.open(path) as database:
        labels = database.labels()
        assert labels is not None
        assert labels.labels.count == 3
        assert labels.labels.last_number(OTHER) == 3
    assert verify(path) == []


def test_a_changed_file_that_says_more_than_the_ledger_is_not_taken(path: Path) -> None:
    apply_pending_labels(path)
    with closing(sqlite3.connect(Layout(path).labels)) as connection, connection:
        connection.execute(
            "INSERT INTO labels "
            "SELECT 99, image_id, replace(event, 'ann', 'eve') FROM labels LIMIT 1"
        )
    with pytest.raises(DatabaseError, match=r"labels\.sqlite was changed"), Writer.maintain(path):
        pass
    assert [(problem.where, problem.what) for problem in verify(path)] == [("labels", "damaged")]
    assert repair(path).problems == ()


def _numbers(file: LabelFile, drafts: Sequence[Draft], **more: int) -> list[int]:
    return [event.number for event in file.record(IMAGE, drafts, "ben", **more)]


def test_who_read_something_older_is_refused(path: Path) -> None:
    file = LabelFile(Layout(path).labels, write=True)
    assert _numbers(file, [ACCEPT], after=2) == [3]
    with pytest.raises(LabelsChanged, match="from 2 to 3"):
        file.record(IMAGE, [REJECT], "ben", after=2)
    assert file.labels.count == 3
    assert [e.number for e in file.record(OTHER, [REJECT], "ben", after=0)] == [4]
    file.close()


def test_it_is_private(path: Path) -> None:
    assert Layout(path).labels.stat().st_mode & 0o777 == 0o600
