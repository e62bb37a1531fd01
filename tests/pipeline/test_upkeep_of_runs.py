"""What a run refuses, forgets and can be told to end; where it reads is the caller's choice."""

from __future__ import annotations

import json
import sqlite3
import threading
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import cxrdex
from indexer.archive.decoding import DecodeSettings
from indexer.archive.deidentify import fingerprint
from indexer.archive.id_key import load_key
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.database.layout import Layout
from indexer.database.outcomes import Outcome
from indexer.database.reader import DatabaseReader
from indexer.database.upkeep.backup import relocate
from indexer.database.upkeep.verify import verify
from indexer.errors import DatabaseError, PruneRefused
from indexer.pipeline.executor import FileTask, file_reader
from indexer.pipeline.options import FileProcessing, FileSelection
from indexer.pipeline.progress import Progress
from indexer.pipeline.run import index
from indexer.pipeline.stages.meters import StageUse
from search.models import Models
from search.request import ImageFile
from tests.archive.making import film, make_dicom, to_bytes
from tests.database.upkeep.make_old_database import DATA
from tests.pipeline.conftest import Index
from tests.pipeline.making import write_pictures
from tests.unpacked import contents


class _Here:
    """An executor that reads files in this process, as one on another machine might."""

    predicts = False
    cores = None

    def __init__(self, bundle: Bundle) -> None:
        self._read = file_reader(DecodeSettings(bundle.size, bundle.squash, load_key()))
        self.ended = False

    def __enter__(self) -> _Here:
        return self

    def __exit__(self, *_: object) -> None:
        self.ended = True

    def run(self, tasks: Iterator[FileTask]) -> Iterator[Outcome]:
        return map(self._read, tasks)

    def uses(self, seconds: float) -> Sequence[StageUse]:
        return []


def test_prune_refuses_what_may_only_be_out_of_reach(
    tiny: Bundle, tmp_path: Path, run: Index
) -> None:
    archive = write_pictures(tmp_path / "archive", 20)
    run(archive, executor=_Here(tiny))
    for number in range(3):
        (archive / f"{number:03d}.png").rename(tmp_path / f"{number}.away")
    with pytest.raises(PruneRefused, match=r"3 of 20 files are gone .* more than 10%"):
        run(archive, prune=True)
    arguments = [str(archive), "--database", str(tmp_path / "db"), "--bundle", str(tiny.path)]
    refused = CliRunner().invoke(cxrdex, ["index", *arguments, "--prune", "--quiet"])
    assert refused.exit_code == 13, refused.output
    assert "--prune --yes" in refused.output
    with DatabaseReader.open(tmp_path / "db") as database:
        assert len(database) == 20
    assert run(archive, prune=True, prune_limit=0.15).pruned == 3
    for path in archive.iterdir():
        path.unlink()
    with pytest.raises(PruneRefused, match=r"is empty.* is it mounted"):
        run(archive, prune=True, prune_limit=1)
    refused = CliRunner().invoke(cxrdex, ["index", *arguments, "--prune", "--prune-limit", "100"])
    assert refused.exit_code == 13, refused.output
    agreed = CliRunner().invoke(cxrdex, ["index", *arguments, "--prune", "--yes", "--quiet"])
    assert agreed.exit_code == 0, agreed.output
    with DatabaseReader.open(tmp_path / "db") as database:
        assert len(database) == 0
    assert verify(tmp_path / "db") == []


def test_strict_tells_that_files_failed(tiny: Bundle, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "broken.dcm").write_text("words")
    arguments = [
        "index", str(archive), "--database", str(tmp_path / "db"), "--bundle", str(tiny.path),
    ]  # fmt: skip
    assert CliRunner().invoke(cxrdex, arguments).exit_code == 0
    strict = CliRunner().invoke(cxrdex, [*arguments, "--retry-failed", "--strict"])
    assert strict.exit_code == 10
    assert "1 files failed" in strict.output


def test_a_caller_ends_a_run(tiny: Bundle, tmp_path: Path, run: Index) -> None:
    archive = write_pictures(tmp_path / "archive", 24)
    stop, executor = threading.Event(), _Here(tiny)

    def watch(progress: Progress) -> None:
        if progress.done >= 8:
            stop.set()

    first = run(archive, executor=executor, stop=stop, progress=watch)
    assert first.interrupted or first.left == 0
    assert executor.ended
    stop.set()
    again = run(archive, executor=_Here(tiny), stop=stop)
    assert again.interrupted
    last = run(archive, executor=_Here(tiny), stop=threading.Event())
    assert not last.interrupted
    with DatabaseReader.open(tmp_path / "db") as database:
        assert len(database) == 24


def test_a_withdrawn_report_goes(tiny: Bundle, tmp_path: Path, run: Index) -> None:
    archive = write_pictures(tmp_path / "archive", 3)
    reports = tmp_path / "reports"
    reports.mkdir()
    for number in range(3):
        (reports / f"{number:03d}.txt").write_text(f"Opacity, wordforreport{number}.")
    run(archive, executor=_Here(tiny), reports=reports)

    def in_text(word: bytes) -> set[str]:
        found = (name for name, data in contents(tmp_path / "db" / "text") if word in data)
        return {name.rpartition(" ")[2] for name in found}

    assert {"./terms", "unpacked"} <= in_text(b"wordforreport1")
    (reports / "001.txt").unlink()
    # Without a look at the reports nothing is known of them.
    assert run(archive).reports_changed == 0
    assert run(archive, reports=reports).reports_changed == 1
    with DatabaseReader.open(tmp_path / "db") as database:
        texts = [str(document["report"]) for document in database.documents()]
    assert sum("wordforreport" in text for text in texts) == 2
    assert not any("wordforreport1" in text for text in texts)
    compact = CliRunner().invoke(cxrdex, ["compact", "--database", str(tmp_path / "db")])
    assert compact.exit_code == 0, compact.output
    assert [name for name, data in contents(tmp_path / "db") if b"wordforreport1" in data] == []
    assert {"./terms", "unpacked"} <= in_text(b"wordforreport2")
    assert verify(tmp_path / "db") == []


def test_what_was_forgotten_does_not_come_back(tiny: Bundle, tmp_path: Path, run: Index) -> None:
    archive = write_pictures(tmp_path / "archive", 3)
    run(archive, executor=_Here(tiny))
    names = tmp_path / "names"
    names.write_text("001\n")
    arguments = ["forget", "--image", "--from", str(names), "--database", str(tmp_path / "db")]
    assert CliRunner().invoke(cxrdex, [*arguments, "--yes"]).exit_code == 0
    summary = run(archive, executor=_Here(tiny))
    assert summary.reasons["skipped"] == {"forgotten": 1}
    with DatabaseReader.open(tmp_path / "db") as database:
        (gone,) = database.failures(("skipped",))
        assert (gone.name, len(database)) == ("001.png", 2)


def test_a_database_remembers_the_polarity_of_a_maker(
    tiny: Bundle, tmp_path: Path, run: Index
) -> None:
    archive, path = tmp_path / "archive", tmp_path / "db"
    archive.mkdir()

    def write(number: int) -> Path:
        wrong = make_dicom(
            film(seed=number), PresentationLUTShape="INVERSE", Manufacturer="Acme Ltd"
        )
        file = archive / f"{number}.dcm"
        file.write_bytes(to_bytes(wrong))
        return file

    def overridden() -> list[bool]:
        with DatabaseReader.open(path) as database:
            documents = sorted(database.documents(), key=lambda d: d["id"])
            return ["polarity_overridden" in d["notes"] for d in documents]

    def of_query(file: Path) -> tuple[str, ...]:
        models = Models(Compute(tiny.path, "cpu"))
        try:
            manifest = Layout(path).read_manifest()
            return models.film(ImageFile(file), manifest, b"").decoded.metadata.notes
        finally:
            models.close()

    write(0)
    run(archive)
    assert overridden() == [False]
    write(1)
    run(archive, polarity={"acme": False})
    assert sorted(overridden()) == [False, True], "what was read before stays"
    run(write(2))
    assert sum(overridden()) == 2, "remembered"
    assert "polarity_overridden" in of_query(write(3))
    run(archive, reread=True)
    assert overridden() == [True] * 4
    said = CliRunner().invoke(
        cxrdex,
        [
            *("index", str(archive), "--database", str(path), "--bundle", str(tiny.path)),
            *("--polarity", "ACME=header", "--quiet"),
        ],
    )
    assert said.exit_code == 0, said.output
    assert Layout(path).read_manifest().polarity is None
    assert "polarity_overridden" not in of_query(archive / "3.dcm")
    assert verify(path) == []


def test_a_database_of_an_earlier_version_is_read_anew_with_the_bundle_of_today(
    tmp_path: Path,
) -> None:
    path = tmp_path / "db"
    with zipfile.ZipFile(DATA / "database-0.2.zip") as made:
        made.extractall(path)
    # Its pictures are drawn again, where they lie now, for somebody who holds its key.
    archive = write_pictures(tmp_path / "archive", 6)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["key"] = fingerprint(load_key())
    (path / "manifest.json").write_text(json.dumps(manifest))
    with closing(sqlite3.connect(path / "ledger.sqlite")) as ledger:
        (old,) = ledger.execute("SELECT path FROM archives").fetchone()
    with DatabaseReader.open(path) as database:
        before = sorted(database.image_ids())
    assert relocate(path, old, str(archive)) == 6
    with pytest.raises(DatabaseError, match="--reread"):
        index([archive], path, processing=FileProcessing(workers=1))
    summary = index(
        [archive], path, selection=FileSelection(reread=True), processing=FileProcessing(workers=1)
    )
    assert (summary.done, summary.failed, summary.duplicate) == (6, 0, 0)
    shipped = Compute().load_bundle()
    with DatabaseReader.open(path) as database:
        assert database.manifest.bundle == shipped.hash
        images = sorted(database.image_ids())
        # Images are named by another checksum since; nothing of the old names stays.
        assert len(images) == len(database) == 6
        assert not set(images) & set(before)
        assert database.vectors().stored_vectors(database.vectors().keys).shape == (6, 256)
        for image in images:
            assert set(database.image(image).reading["probabilities"]) == set(shipped.findings)
    assert verify(path) == []
    assert index([archive], path, processing=FileProcessing(workers=1)).done == 0
