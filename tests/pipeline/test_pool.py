from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.archive.sources.members import Member
from indexer.database.outcomes import Read
from indexer.errors import ArchiveUnavailable, CxrdexError, FailedImage
from indexer.pipeline.executor import FileTask, file_reader
from indexer.pipeline.pool import DecodePool
from tests.archive.making import film, make_dicom, make_picture, to_bytes


def obey(task: str) -> str:
    """What a worker does with a task; it says what modules it has."""
    order, _, number = task.partition(":")
    match order:
        case "exit":
            os._exit(3)
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            time.sleep(600)
        case "slow":
            time.sleep(0.05)
        case "gone":
            raise ArchiveUnavailable("archive https://host: nothing is there")
        case "raise":
            raise ZeroDivisionError
        case "modules":
            return " ".join(sorted(sys.modules))
        case "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
    return number


def _answers(
    tasks: list[str], workers: int = 2, window: int = 8, timeout: float = 60.0
) -> list[str | FailedImage]:
    with DecodePool(obey, iter(tasks), workers=workers, window=window, timeout=timeout) as pool:
        return [answer for _, answer in pool]


def _reasons(answers: list[str | FailedImage]) -> list[str]:
    return [a.reason if isinstance(a, FailedImage) else a for a in answers]


def test_answers_come_in_order() -> None:
    tasks = [f"{'slow' if n % 3 == 0 else 'fast'}:{n}" for n in range(50)]
    assert _answers(tasks) == [str(n) for n in range(50)]


def test_no_tasks() -> None:
    assert _answers([]) == []


def test_a_crash_is_pinned_to_the_one_guilty_task() -> None:
    orders = ["exit" if n in (4, 5) else "segfault" if n == 9 else "fast" for n in range(14)]
    answers = _answers([f"{order}:{n}" for n, order in enumerate(orders)])
    expected = ["decoder_crashed" if o != "fast" else str(n) for n, o in enumerate(orders)]
    assert _reasons(answers) == expected
    assert isinstance(answers[9], FailedImage)
    assert "signal 11" in answers[9].detail


def test_a_hanging_task_fails_alone_and_after_its_time() -> None:
    started = time.monotonic()
    orders = ["hang" if n in (0, 6) else "fast" for n in range(12)]
    answers = _answers([f"{order}:{n}" for n, order in enumerate(orders)], timeout=1.0)
    expected = ["timed_out" if o == "hang" else str(n) for n, o in enumerate(orders)]
    assert _reasons(answers) == expected
    assert time.monotonic() - started < 60


def test_an_exception_in_a_worker_belongs_to_its_task() -> None:
    assert _reasons(_answers(["raise:0", "fast:1"])) == ["decoder_crashed", "1"]


def test_an_archive_that_is_gone_ends_the_iteration() -> None:
    """No file is to blame, so none is given up for it."""
    with pytest.raises(ArchiveUnavailable, match="archive https://host: nothing is there"):
        _answers(["fast:0", "gone:1", "fast:2"])


def test_ctrl_c_does_not_reach_workers() -> None:
    assert _answers(["interrupt:0", "fast:1"], workers=1) == ["0", "1"]


def test_no_more_than_a_window_is_ahead() -> None:
    taken = 0

    def tasks() -> Iterator[str]:
        nonlocal taken
        for number in range(60):
            taken += 1
            yield f"fast:{number}"

    with DecodePool(obey, tasks(), workers=1, window=10) as pool:
        for read, _ in enumerate(pool):
            assert taken <= read + 11
    assert taken == 60


def test_the_iteration_ends_when_it_is_stopped() -> None:
    seen: list[str] = []
    tasks = (f"fast:{n}" for n in range(100))
    stopped = lambda: len(seen) >= 3  # noqa: E731
    with DecodePool(obey, tasks, workers=1, window=4, stopped=stopped) as pool:
        for task, _ in pool:
            seen.append(task)
    assert len(seen) == 3


def test_workers_that_cannot_start_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multiprocessing.spawn.get_executable", lambda: b"false")
    with pytest.raises(CxrdexError, match="cannot be started"):
        _answers(["fast:0"])


def read_and_tell(task: FileTask) -> tuple[bool, list[str]]:
    """Whether a file is read as an image, and the modules that this took."""
    from indexer.archive.decoding import DecodeSettings

    outcome = file_reader(DecodeSettings(64, True, b"k" * 32))(task)
    return isinstance(outcome, Read), sorted(sys.modules)


def test_workers_never_import_torch(tmp_path: Path) -> None:
    dicom = tmp_path / "film.dcm"
    dicom.write_bytes(to_bytes(make_dicom(film())))
    picture = tmp_path / "film.png"
    picture.write_bytes(make_picture(film(bits=8), "PNG"))
    members = [Member(str(tmp_path), p.name, p.stat().st_size, 0) for p in (dicom, picture)]
    tasks = (FileTask(1, member) for member in members)
    with DecodePool(read_and_tell, tasks, workers=1, window=2) as pool:
        answers = [answer for _, answer in pool]
    for answer in answers:
        assert not isinstance(answer, FailedImage)
        read, modules = answer
        assert read
        assert {"pydicom", "PIL", "indexer.archive.decoding"} <= set(modules)
        assert not {"torch", "timm", "faiss", "tantivy", "indexer.cascade"} & set(modules)
