from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from indexer.archive.limits import Limits
from indexer.database.reader import DatabaseReader
from tests.pipeline.conftest import Index
from tests.pipeline.hostile_files import KINDS, MEMORY_FOLDER, hostile_reader, write_hostile_files
from tests.pipeline.making import write_pictures

LIMITS = Limits(file_bytes=2**26, memory_bytes=400 * 2**20, seconds=6.0)


def test_two_hundred_hostile_files_cost_nothing_but_themselves(
    run: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, notes = tmp_path / "archive", tmp_path / "notes"
    notes.mkdir()
    monkeypatch.setenv(MEMORY_FOLDER, str(notes))
    monkeypatch.setattr("indexer.pipeline.run.file_reader", hostile_reader)
    write_pictures(archive, 1800)
    hostile = write_hostile_files(archive, seed=7)
    assert len(hostile) == 200
    assert len(KINDS) >= 12
    summary = run(archive, workers=2, limits=LIMITS)
    assert (summary.total, summary.done, summary.duplicate) == (2000, 1800, 0)
    assert summary.skipped + summary.failed == 200
    assert not summary.left
    with DatabaseReader.open(tmp_path / "db") as database:
        files = {f.name: f for f in database.ledger.files.records()}
    ends: dict[str, Counter[str]] = {}
    for name, kind in hostile.items():
        assert files[name].status in ("skipped", "failed"), name
        assert files[name].detail
        ends.setdefault(kind, Counter())[files[name].reason or ""] += 1
    for kind, (count, _, reasons) in KINDS.items():
        assert ends[kind].total() == count
        assert set(ends[kind]) <= reasons, (kind, ends[kind])
    peaks = [int(note.read_text()) / 1024 for note in notes.iterdir()]
    assert 0 < max(peaks) < 700, f"MiB of the largest worker: {max(peaks)}"
