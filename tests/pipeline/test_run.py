from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import pytest

from indexer.archive.limits import Limits
from indexer.database.reader import DatabaseReader
from indexer.database.upkeep.verify import verify
from indexer.pipeline.run import Progress
from indexer.simulation import Simulation
from tests.archive.making import film, make_dicom, to_bytes
from tests.pipeline.conftest import Index
from tests.pipeline.making import (
    database_state,
    misbehaving_reader,
    write_picture,
    write_pictures,
)


def test_every_file_ends_once_with_a_reason(
    run: Index, archive: Path, database: Path, model_work: list[int]
) -> None:
    shutil.copy(archive / "002.png", archive / "zzz.png")
    (archive / "notes.bin").write_bytes(b"words")
    (archive / "broken.dcm").write_text("no DICOM")
    shown: list[Progress] = []
    summary = run(archive, progress=shown.append)
    assert (summary.total, summary.done, summary.duplicate) == (9, 6, 1)
    assert summary.reasons == {"skipped": {"not_an_image": 1}, "failed": {"not_dicom": 1}}
    assert not summary.interrupted
    assert sum(model_work) == 6
    assert verify(database) == []
    last = shown[-1]
    assert (last.total, last.done, last.duplicate) == (9, 6, 1)
    with DatabaseReader.open(database) as opened:
        assert opened.counts() == {"done": 6, "duplicate": 1, "skipped": 1, "failed": 1}
        statuses = {f.name: f for f in opened.ledger.files.records()}
        twin = statuses["zzz.png"]
        assert twin.status == "duplicate"
        assert twin.image_id == statuses["002.png"].image_id
        assert twin.image_id is not None
        record = opened.image(twin.image_id)
        assert [f.name for f in record.files] == ["002.png", "zzz.png"]
        assert record.document["annotations"][0]["origin"] == "predicted"
        assert len(opened.vectors()) == 6
        assert (opened.thumbnail(twin.image_id) or b"")[8:12] == b"WEBP"
        run_record = opened.last_run()
        assert run_record is not None
        assert (run_record.state, run_record.counts["done"]) == ("complete", 6)


def test_an_unchanged_archive_costs_no_work(
    run: Index, archive: Path, database: Path, model_work: list[int]
) -> None:
    run(archive)
    before, shards = database_state(database), sorted((database / "embeddings").iterdir())
    model_work.clear()
    summary = run(archive)
    assert (summary.total, summary.unchanged, summary.done, summary.left) == (6, 6, 0, 0)
    assert model_work == []
    assert database_state(database) == before
    assert sorted((database / "embeddings").iterdir()) == shards


def test_new_and_changed_files_are_read(
    run: Index, archive: Path, database: Path, tmp_path: Path, model_work: list[int]
) -> None:
    run(archive)
    write_picture(archive / "001.png", 100)
    write_picture(archive / "new.png", 101)
    os.utime(archive / "003.png", ns=(1, 1))  # touched, but the same
    model_work.clear()
    summary = run(archive)
    assert (summary.done, summary.unchanged) == (2, 5)
    assert sum(model_work) == 2
    assert verify(database) == []
    run(archive, database=tmp_path / "fresh")
    fresh, now = database_state(tmp_path / "fresh"), database_state(database)
    assert now == fresh
    assert run(archive).unchanged == 7


def test_checksum_finds_what_size_and_time_hide(
    run: Index, archive: Path, database: Path, model_work: list[int]
) -> None:
    path = archive / "000.png"
    run(archive)
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[60] ^= 0xFF  # inside the compressed pixels, so that it can be read no more
    path.write_bytes(data)
    os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert run(archive).unchanged == 6
    summary = run(archive, checksum=True)
    assert (summary.failed, summary.unchanged) == (1, 5)
    assert verify(database) == []
    with DatabaseReader.open(database) as opened:
        assert len(opened) == 5


def test_retry_failed_reads_failures_only(run: Index, archive: Path, database: Path) -> None:
    whole = (archive / "004.png").read_bytes()
    (archive / "004.png").write_bytes(whole[: len(whole) // 2])
    stamp = (archive / "004.png").stat().st_mtime_ns
    assert run(archive).failed == 1
    assert run(archive).unchanged == 6
    summary = run(archive, retry_failed=True)
    assert (summary.failed, summary.unchanged) == (1, 5)
    with DatabaseReader.open(database) as opened:
        (failure,) = opened.failures()
        assert (failure.name, failure.attempts) == ("004.png", 2)
    (archive / "004.png").write_bytes(whole)
    os.utime(archive / "004.png", ns=(stamp, stamp))
    assert run(archive, retry_failed=True).done == 1
    assert verify(database) == []


def test_removed_files_are_reported_and_dropped_on_request(
    run: Index, archive: Path, database: Path, tmp_path: Path, model_work: list[int]
) -> None:
    shutil.copy(archive / "001.png", archive / "zzz.png")
    run(archive)
    model_work.clear()
    for name in ("000.png", "001.png"):
        (archive / name).unlink()
    assert run(archive).removed == 2
    with DatabaseReader.open(database) as opened:
        assert len(opened) == 6
    summary = run(archive, prune=True, prune_limit=1)
    assert (summary.removed, summary.pruned) == (2, 2)
    assert model_work == []
    assert verify(database) == []
    run(archive, database=tmp_path / "fresh")
    assert database_state(database) == database_state(tmp_path / "fresh"), (
        "the twin stands for its image"
    )
    assert len(database_state(database)["texts"]) == 5


def test_a_moved_file_is_not_read_by_the_model_again(
    run: Index, archive: Path, database: Path, model_work: list[int]
) -> None:
    run(archive)
    model_work.clear()
    (archive / "000.png").rename(archive / "moved.png")
    summary = run(archive, prune=True, prune_limit=1)
    assert (summary.duplicate, summary.pruned) == (1, 1)
    assert model_work == []
    assert database_state(database)["counts"]["done"] == 6
    assert verify(database) == []


def test_what_cannot_be_listed_is_not_taken_for_removed(
    run: Index, tmp_path: Path, database: Path
) -> None:
    archive = write_pictures(tmp_path / "archive", 2)
    with zipfile.ZipFile(archive / "more.zip", "w") as packed:
        packed.write(archive / "000.png", "in/zip.png")
        packed.write(write_picture(tmp_path / "x.png", 50), "in/other.png")
    run(archive)
    (archive / "more.zip").write_bytes(b"damaged")
    summary = run(archive, prune=True, prune_limit=1)
    assert (summary.failed, summary.removed, summary.pruned) == (1, 0, 0)
    with DatabaseReader.open(database) as opened:
        assert len(opened) == 3


def test_a_twin_with_burned_in_text_hides_the_picture(
    run: Index, tmp_path: Path, database: Path
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "a.dcm").write_bytes(to_bytes(make_dicom(film())))
    run(archive)
    (image,) = database_state(database)["pictures"]
    assert database_state(database)["pictures"][image] is not None
    (archive / "b.dcm").write_bytes(to_bytes(make_dicom(film(), BurnedInAnnotation="YES")))
    assert run(archive).duplicate == 1
    assert database_state(database)["pictures"] == {image: None}
    assert verify(database) == []
    (archive / "a.dcm").unlink()
    run(archive, prune=True, prune_limit=1)
    assert database_state(database)["pictures"] == {image: None}
    assert verify(database) == []


def test_another_header_on_the_same_pixels_changes_the_document(
    run: Index, tmp_path: Path, database: Path, model_work: list[int]
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "a.dcm").write_bytes(to_bytes(make_dicom(film(), PatientSex="F")))
    run(archive)
    (archive / "a.dcm").write_bytes(to_bytes(make_dicom(film(), PatientSex="M", PatientID="9")))
    model_work.clear()
    assert run(archive).done == 1
    assert model_work == []
    (document,) = database_state(database)["documents"].values()
    assert document["sex"] == "M"
    assert verify(database) == []


def test_new_and_changed_reports_reach_images_that_are_there(
    run: Index, archive: Path, database: Path, tmp_path: Path, model_work: list[int]
) -> None:
    run(archive)
    model_work.clear()
    reports = tmp_path / "reports"
    reports.mkdir()
    (reports / "001.txt").write_text("Small effusion on the left.")
    assert run(archive, reports=reports).reports_changed == 1
    assert run(archive, reports=reports).reports_changed == 0
    (reports / "001.txt").write_text("Large effusion on the left.")
    (reports / "002.txt").write_text("Normal.")
    assert run(archive, reports=reports).reports_changed == 2
    assert run(archive).reports_changed == 0
    texts = [d["report"] for d in database_state(database)["documents"].values() if d["report"]]
    assert {"findings": "Large effusion on the left."} in texts
    assert len(texts) == 2
    assert model_work == []
    assert verify(database) == []
    run(archive, reports=reports, database=tmp_path / "fresh")
    assert database_state(tmp_path / "fresh") == database_state(database)


def test_limit_and_reread(run: Index, archive: Path, database: Path, model_work: list[int]) -> None:
    first = run(archive, limit=4)
    assert (first.done, first.left) == (4, 2)
    assert (run(archive).done, sum(model_work)) == (2, 6)
    before = database_state(database)
    model_work.clear()
    assert run(archive, reread=True).done == 6
    assert sum(model_work) == 6
    assert database_state(database) == before
    assert verify(database) == []


def test_a_simulated_hospital_archive(run: Index, simulation: Simulation, database: Path) -> None:
    summary = run(simulation.folder, reports=simulation.reports)
    counts = summary.done + summary.duplicate + summary.skipped + summary.failed
    assert counts == summary.total
    assert verify(database) == []
    with DatabaseReader.open(database) as opened:
        ends = {f.name: (f.status, f.reason) for f in opened.ledger.files.records()}
        assert any(d["report"] for d in opened.documents())
    for file in simulation.files:
        if file.name in ends:
            status, reason = ends[file.name]
            if file.outcome == "left_out":
                assert status in ("skipped", "failed"), file.name
            else:
                assert (status, reason) == (file.outcome, file.reason), file.name


def test_a_database_inside_its_archive_is_not_read(run: Index, archive: Path) -> None:
    assert run(archive, database=archive / "db").total == 6
    assert run(archive, database=archive / "db").total == 6


def test_crashing_and_hanging_files_fail_alone(
    run: Index, archive: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.pipeline.run.file_reader", misbehaving_reader)
    write_picture(archive / "001-crash.png", 60)
    write_picture(archive / "003-hang.png", 61)
    summary = run(archive, workers=2, limits=Limits(seconds=3.0))
    assert summary.done == 6
    assert summary.reasons["failed"] == {"decoder_crashed": 1, "timed_out": 1}
    assert verify(database) == []
    monkeypatch.undo()
    assert run(archive, retry_failed=True).done == 2


# ---- refusals -----------------------------------------------------------------------------------


# ---- ends ---------------------------------------------------------------------------------------
