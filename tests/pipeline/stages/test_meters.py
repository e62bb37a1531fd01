"""Where the time of a run went."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from indexer.pipeline.options import FileProcessing
from indexer.pipeline.run import index
from indexer.pipeline.stages.meters import Meter, Processor, StagesUse, StageUse
from indexer.simulation import simulate_pictures


def test_work_and_waits_are_told_apart() -> None:
    meter = Meter()
    with meter.working():
        time.sleep(0.05)
    for _ in range(2):
        with meter.waiting("decode"):
            time.sleep(0.02)
    assert meter.busy >= 0.05
    assert meter.waits.keys() == {"decode"}
    assert meter.waits["decode"] >= 0.04


def test_threads_at_work_together_are_counted_once() -> None:
    meter = Meter()

    def work(_: int) -> None:
        with meter.working():
            time.sleep(0.1)

    started = time.monotonic()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    assert 0.1 <= meter.busy <= time.monotonic() - started


def _fail_after(seconds: float) -> None:
    time.sleep(seconds)
    raise ZeroDivisionError


def test_work_that_fails_counts() -> None:
    meter = Meter()
    with pytest.raises(ZeroDivisionError), meter.working():
        _fail_after(0.02)
    assert meter.busy >= 0.02


def test_shares_add_up_to_all_workers_time() -> None:
    use = StageUse.of("decode", Meter(6.0, {"commit": 2.0}), 10.0, workers=2, rest="model")
    assert (use.busy, use.waits) == (0.3, {"commit": 0.1, "model": 0.6})


def test_the_busiest_stage_limits_where_cores_are_free() -> None:
    stages = (StageUse("decode", 2, 0.4, {}), StageUse("model", 1, 0.7, {}))
    assert StagesUse(1.0, stages, 4, 0.5).limit == "model"
    assert StagesUse(1.0, stages, 4, None).limit == "model"
    assert StagesUse(1.0, stages, 4, 0.95).limit == "processor"


def test_processor_time_is_that_of_the_work() -> None:
    processor = Processor()
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    share = processor.use(1.0, (), 2).processor
    assert share is None or share >= 0.1


def test_a_run_tells_how_its_stages_spent_their_time(tmp_path: Path) -> None:
    simulate_pictures(tmp_path / "archive", 12)
    use = index(
        [tmp_path / "archive"], tmp_path / "database", processing=FileProcessing(workers=1)
    ).stages
    assert use is not None
    assert [stage.stage for stage in use.stages] == ["decode", "model", "commit", "send"]
    assert use.stages[0].busy > 0
    for stage in use.stages:
        assert 0 <= stage.busy <= 1
        assert stage.busy + sum(stage.waits.values()) == pytest.approx(1, abs=0.02)
    assert set(use.stages[1].waits) >= {"start", "decode", "commit"}
    assert use.to_json()["limit"] == use.limit
    assert index([tmp_path / "archive"], tmp_path / "database").stages is None
