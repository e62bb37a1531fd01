from __future__ import annotations

import gc
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from threading import Event, Timer

import pytest

from indexer.database.ledger.ledger import Ledger
from indexer.database.outcomes import Outcome
from indexer.database.upkeep.verify import verify
from indexer.database.writer import FindReport
from indexer.pipeline.reports import Reports
from indexer.pipeline.stages import model
from indexer.pipeline.stages.commits import Committer
from indexer.pipeline.stages.duplicates import Duplicates
from indexer.pipeline.stages.model import ModelStage
from tests.database.making import entry, opened


def test_files_that_come_faster_than_they_are_committed_are_committed_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "_COMMIT_FILES", 10)
    sizes: list[int] = []
    is_free = Event()
    with opened(tmp_path / "db") as writer:
        store = writer.store

        def wait(outcomes: Sequence[Outcome], find: FindReport | None = None) -> None:
            sizes.append(len(outcomes))
            assert is_free.wait(60)
            store(outcomes, find)

        monkeypatch.setattr(writer, "store", wait)
        with (
            Committer(writer, Reports([], b"")) as committer,
            closing(Ledger(writer.layout.ledger)) as ledger,
            ModelStage(Duplicates(ledger, committer), committer, None, 4) as stage,
        ):
            for number in range(49):
                stage.take(entry(number))
            assert sizes == [10]
            Timer(0.2, is_free.set).start()
            # Of an image in the commit that is under way, and of one that waits for the next.
            for number, twin in ((49, 3), (50, 30)):
                stage.take(entry(twin, f"twin {number}"))
            stage.finish()
            # No more than four times as many wait, so that memory stays flat.
            assert sizes == [10, 40, 1]
            assert stage.counts == {"done": 49, "duplicate": 2}
    assert verify(tmp_path / "db") == []


def test_cycles_are_searched_for_as_before_once_a_run_has_ended(tmp_path: Path) -> None:
    usual = gc.get_threshold()
    with opened(tmp_path / "db") as writer:
        with Committer(writer, Reports([], b"")):
            assert gc.get_threshold()[0] > usual[0]
        assert gc.get_threshold() == usual
