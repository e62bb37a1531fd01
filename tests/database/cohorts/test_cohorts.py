"""Cohorts: kept in a file of their own, known to whatever keeps a database whole."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import cxrdex
from indexer.database.cohorts.cohort import MAX_IMAGES, Cohort
from indexer.database.cohorts.store import Cohorts
from indexer.database.layout import Layout
from indexer.database.upkeep.backup import back_up, relocate
from indexer.database.upkeep.privacy import look
from indexer.database.upkeep.verify import verify
from indexer.errors import DatabaseError, NotFoundError, QueryError
from tests.database.making import fill, image_id, opened

IMAGES = tuple(image_id(number) for number in range(2, 8))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return fill(tmp_path / "db", 10)


@pytest.fixture
def cohorts(path: Path) -> Cohorts:
    return Cohorts(Layout(path).cohorts)


def test_none_is_no_file(path: Path, cohorts: Cohorts) -> None:
    assert (cohorts.all(), cohorts.images(), list(cohorts.damages())) == ([], [], [])
    with pytest.raises(NotFoundError, match="no cohort"):
        cohorts.get("0" * 20)
    assert cohorts.drop_images(IMAGES) == 0
    assert cohorts.wipe()
    assert not Layout(path).cohorts.exists()


def test_made_changed_deleted(path: Path, cohorts: Cohorts) -> None:
    made = cohorts.add(" Effusions ", "ann", "for the audit", [*IMAGES, IMAGES[0]])
    assert (made.name, made.images) == ("Effusions", IMAGES)
    assert cohorts.get(made.id) == made
    assert Layout(path).cohorts.stat().st_mode & 0o777 == 0o600
    fewer = cohorts.change(made.id, lambda cohort: cohort.without_images(IMAGES[:2]))
    assert fewer.images == IMAGES[2:]
    assert fewer.etag != made.etag
    assert cohorts.change(made.id, lambda cohort: cohort) == fewer
    other = cohorts.add("Others", "bob")
    assert {cohort.id for cohort in cohorts.all()} == {made.id, other.id}
    assert [cohort.id for cohort in cohorts.all("bob")] == [other.id]
    cohorts.delete(made.id)
    assert cohorts.all() == [other.summary]
    with pytest.raises(NotFoundError):
        cohorts.change(made.id, lambda cohort: cohort)


@pytest.mark.parametrize(
    ("name", "note", "images", "told"),
    [
        ("  ", "", (), "needs a name"),
        ("x" * 201, "", (), "at most 200"),
        ("x", "y" * 4001, (), "note of a cohort has at most 4000"),
        ("a\x1b[31m", "", (), "cannot be shown"),
        ("x", "", ("../passwd",), "no image id"),
        ("x", "", tuple(f"{n:016x}" for n in range(MAX_IMAGES + 1)), "at most 50,000 images"),
    ],
)
def test_what_no_cohort_may_be(
    cohorts: Cohorts, name: str, note: str, images: tuple[str, ...], told: str
) -> None:
    with pytest.raises(QueryError, match=told):
        cohorts.add(name, "ann", note, images)
    assert cohorts.all() == []


def test_an_edit_that_refuses_changes_nothing(cohorts: Cohorts) -> None:
    made = cohorts.add("A", "ann", images=IMAGES)

    def refuse(cohort: Cohort) -> Cohort:
        raise QueryError("no")

    with pytest.raises(QueryError):
        cohorts.change(made.id, refuse)
    with pytest.raises(QueryError):
        cohorts.delete(made.id, refuse)
    assert cohorts.get(made.id) == made


def test_threads_lose_nothing(cohorts: Cohorts) -> None:
    made = cohorts.add("A", "ann")

    def add(number: int) -> None:
        cohorts.change(made.id, lambda cohort: cohort.with_images([f"{number:016x}"]))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(cohorts.get(made.id).images) == [f"{number:016x}" for number in range(8)]


def test_what_is_forgotten_leaves_every_cohort(path: Path, cohorts: Cohorts) -> None:
    first = cohorts.add("A", "ann", images=IMAGES)
    second = cohorts.add("B", "bob", images=IMAGES[3:])
    gone = IMAGES[4]
    answer = CliRunner().invoke(
        cxrdex,
        ["forget", "--image", "--from", "-", "--yes", "--database", str(path)],
        input=f"{gone}\n",
    )
    assert answer.exit_code == 0, answer.output
    assert cohorts.get(first.id).images == tuple(i for i in IMAGES if i != gone)
    assert gone not in cohorts.get(second.id).images
    assert cohorts.get(first.id).etag != first.etag
    stored = b"".join(file.read_bytes() for file in path.glob("cohorts.sqlite*"))
    assert gone.encode() not in stored
    assert IMAGES[0].encode() in stored
    assert verify(path) == []


def test_compacting_drops_what_was_pruned(path: Path, cohorts: Cohorts) -> None:
    made = cohorts.add("A", "ann", images=IMAGES)
    with opened(path) as writer:
        writer.remove_files(1, ["2.png"])
        writer.settle()
        writer.end_run("complete", {})
    # Until then it is kept, as the file may come back.
    assert cohorts.get(made.id).images == IMAGES
    answer = CliRunner().invoke(cxrdex, ["compact", "--database", str(path)])
    assert answer.exit_code == 0, answer.output
    assert cohorts.get(made.id).images == IMAGES[1:]


def test_a_backup_has_them_and_a_move_leaves_them(path: Path, cohorts: Cohorts) -> None:
    made = cohorts.add("A", "ann", images=IMAGES)
    with opened(path) as writer:
        writer.end_run("complete", {})
    copy = path.with_name("copy")
    back_up(path, copy)
    assert Cohorts(Layout(copy).cohorts).get(made.id) == made
    assert Layout(copy).cohorts.stat().st_mode & 0o777 == 0o600
    relocate(path, "/archive", "/elsewhere")
    assert cohorts.all() == [made.summary]
    assert verify(path) == [] == verify(copy)


def test_who_can_read_them_is_told(path: Path, cohorts: Cohorts) -> None:
    cohorts.add("A", "ann")
    parts = {holding.part: holding.readers for holding in look(path).holdings}
    assert parts["cohorts.sqlite"] == parts["ledger.sqlite"]


def test_damage_is_found(path: Path, cohorts: Cohorts) -> None:
    made = cohorts.add("A", "ann", images=IMAGES)
    with sqlite3.connect(Layout(path).cohorts) as connection:
        connection.execute("UPDATE members SET image_id = 'ff' WHERE image_id = ?", (IMAGES[1],))
    connection.close()
    (problem,) = verify(path)
    assert (problem.where, problem.what) == ("cohorts", "damaged")
    Layout(path).cohorts.write_bytes(b"words" * 999)
    (problem,) = verify(path)
    assert problem.where == "cohorts"
    assert "backup" in problem.repair
    with pytest.raises(DatabaseError, match=r"cohorts\.sqlite cannot be read"):
        cohorts.get(made.id)


def test_a_tag_tells_every_change() -> None:
    one = Cohort(id="a", name="n", note="o", owner="w", created="c", changed="d", images=IMAGES)
    others = [
        replace(one, name="m"),
        replace(one, note="p"),
        replace(one, owner="v"),
        replace(one, changed="e"),
        replace(one, images=IMAGES[::-1]),
    ]
    assert len({cohort.etag for cohort in (one, *others)}) == 6
