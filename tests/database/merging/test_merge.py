"""A merged database is what one run over all parts makes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import cxrdex
from cli.main import cxrdex as command
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.database.choices import Choices
from indexer.database.reader import DatabaseReader
from indexer.database.upkeep.merge import merge
from indexer.database.upkeep.verify import verify
from indexer.database.vectors.shards import vector_keys
from indexer.database.writer import Writer
from indexer.database.writing.forgetting import Wanted
from tests.database.merging.conftest import Split
from tests.pipeline.making import database_state


@pytest.fixture(scope="module")
def merged(split: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("merged") / "db"
    done = merge(split.parts, target, Choices("embedded"))
    assert done.shared_images > 3
    assert done.studies_pooled > 3
    assert (done.parts, done.shared_files, done.waiting) == (4, 0, 0)
    return target


def read_files(path: Path) -> list[tuple[Any, ...]]:
    with DatabaseReader.open(path) as database:
        return [
            (f.archive, f.name, f.status, f.reason, f.detail, f.attempts, f.image_id)
            for f in database.ledger.files.records()
        ]


def read_vectors(path: Path, ids: list[str]) -> Any:
    with DatabaseReader.open(path) as database:
        return database.vectors().stored_vectors(vector_keys(ids))


def same(found: Path, expected: Path) -> None:
    assert verify(found) == []
    one, other = database_state(found), database_state(expected)
    for part, value in other.items():
        assert one[part] == value, part
    assert read_files(found) == read_files(expected)
    ids = sorted(other["documents"])
    np.testing.assert_array_equal(read_vectors(found, ids), read_vectors(expected, ids))
    with DatabaseReader.open(found) as first, DatabaseReader.open(expected) as second:
        both = first, second
        for what in ("pooled", "header", "report_keys"):
            values = [{r.image_id: getattr(r, what) for r in d.ledger.images} for d in both]
            assert values[0] == values[1], what
        assert [r.image_id for r in first.ledger.images] == [
            r.image_id for r in second.ledger.images
        ]


def test_as_one_run(split: Split, merged: Path) -> None:
    same(merged, split.whole)
    with DatabaseReader.open(merged) as database:
        counts = database.counts()
        assert min(counts.values()) > 0
        pooled = [row for row in database.ledger.images if row.pooled]
        assert len(pooled) > 5
    assert merged.stat().st_mode & 0o777 == 0o700
    assert {p.name for p in merged.iterdir()} == {p.name for p in split.whole.iterdir()}
    assert not list(merged.parent.glob(".*"))
    for part in split.parts:
        assert verify(part) == []


def test_searches_give_the_same(split: Split, merged: Path, tiny: Bundle, tmp_path: Path) -> None:
    # Scores count documents that were replaced, until they are merged away: here none was.
    whole = Path(shutil.copytree(split.whole, tmp_path / "whole"))
    with Writer.maintain(whole, text="rebuilt"):
        pass
    compute = Compute(tiny.path, "cpu", "torch")
    queries = "*", "opacity", '"pleural effusion"', "absent:pneumothorax", "age:[40 TO 60]"

    def answers(path: Path) -> list[Any]:
        with cxrdex.open(path, compute=compute) as db:
            ids = sorted(db.embeddings().ids)[:20]
            words = [db.search(query, limit=50, facets=["view", "disease"]) for query in queries]
            alike = [db.similar(name, k=10) for name in ids]
            return [
                *([(h.id, h.score) for h in found.hits] for found in (*words, *alike)),
                *(found.total for found in words),
                *(found.facets for found in words),
            ]

    found, expected, grown = answers(merged), answers(whole), answers(split.whole)
    assert found == expected
    for one, other in zip(found, grown, strict=True):
        assert one == other or {name for name, _ in one} == {name for name, _ in other}
    assert sum(map(len, found[:5])) > 50


def test_the_next_run_reads_nothing(split: Split, merged: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(merged, tmp_path / "db"))
    summary = split.index(split.archives, copy)
    assert (summary.unchanged, summary.done, summary.left) == (summary.total, 0, 0)
    assert summary.reports_changed == 0
    same(copy, split.whole)


def test_elasticsearch(split: Split, tmp_path: Path, elasticsearch_url: str) -> None:
    """Words of the new database may go where none of the parts' are, and theirs may lie there."""
    choices = Choices("elasticsearch", elasticsearch_url)
    served = merge(split.parts[:2], tmp_path / "served", choices)
    assert served.waiting == 0
    assert verify(tmp_path / "served") == []
    again = merge([tmp_path / "served", *split.parts[2:]], tmp_path / "again", choices)
    assert (again.parts, again.waiting) == (3, 0)
    same(tmp_path / "again", split.whole)
    names = {DatabaseReader.open(tmp_path / n).manifest.text_index for n in ("served", "again")}
    assert len(names) == 2


def test_what_one_part_forgot_comes_from_no_other(split: Split, tmp_path: Path) -> None:
    part = Path(shutil.copytree(split.parts[1], tmp_path / "part"))
    with DatabaseReader.open(part) as database:
        rows = {row.patient: (row.image_id,) for row in database.ledger.images}
    with DatabaseReader.open(split.parts[0]) as database:
        patient = next(row.patient for row in database.ledger.images if row.patient in rows)
        gone = {row.image_id for row in database.ledger.images if row.patient == patient}
    with Writer.maintain(part) as writer:
        wanted = Wanted("patient", (patient,), rows[patient], 0)
        writer.forget(wanted)
        writer.wipe()
    target = tmp_path / "db"
    merge([split.parts[0], part], target, Choices("embedded"))
    assert verify(target) == []
    assert gone
    with DatabaseReader.open(target) as database:
        assert patient not in {row.patient for row in database.ledger.images}
        assert gone.isdisjoint(database.image_ids())
        assert all(database.thumbnail(name) is None for name in gone)
        assert database.reasons()["skipped"]["forgotten"] >= len(gone)
        assert ("patient", patient) in database.ledger.forgotten.all()


def test_a_part_of_the_same_archive(split: Split, tmp_path: Path) -> None:
    """Of a file that several parts have, the first counts, but a failure gives way."""
    twice = merge([split.parts[0], shutil.copytree(split.parts[0], tmp_path / "copy")],
                  tmp_path / "db", Choices("embedded"))  # fmt: skip
    assert twice.shared_files == twice.files
    assert (twice.images, twice.shared_images) == (
        len(database_state(split.parts[0])["readings"]),
        0,
    )
    same(tmp_path / "db", split.parts[0])


def test_the_command(split: Split, tmp_path: Path) -> None:
    words = [str(tmp_path / "db"), "--text-store", "embedded"]
    call = ["merge", *map(str, split.parts), "--database", *words]
    answer = CliRunner().invoke(command, [*call, "--format", "json"])
    assert answer.exit_code == 0, answer.output
    told = json.loads(answer.output)
    with DatabaseReader.open(tmp_path / "db") as database:
        assert told["images"] == len(database)
        assert told["files"] == sum(database.counts().values())
    again = CliRunner().invoke(command, call)
    assert (again.exit_code, "is a database already" in again.output) == (4, True)
    shutil.rmtree(tmp_path / "db")
    shown = CliRunner().invoke(command, call).output
    assert shown.startswith("4 databases merged: ")
