from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from indexer.errors import CxrdexError, FailedImage
from indexer.pipeline.decoding import DecodePool


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
    monkeypatch.setattr("multiprocessing.spawn.get_executable", lambda: b"/bin/false")
    with pytest.raises(CxrdexError, match="cannot be started"):
        _answers(["fast:0"])


def test_workers_never_import_torch() -> None:
    # The modules of a worker after it has read a picture and a DICOM file, from a clean parent.
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from indexer.pipeline.decoding import DecodePool\n"
        "from tests.pipeline.test_decoding_worker import read_and_tell\n"
        "if __name__ == '__main__':\n"
        "    with DecodePool(read_and_tell, iter([0]), workers=1, window=1) as pool:\n"
        "        ((_, modules),) = pool\n"
        "    print(modules)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    modules = set(answer.stdout.split())
    assert {"pydicom", "PIL", "indexer.archive.decoding"} <= modules
    assert not {"torch", "timm", "faiss", "tantivy", "indexer.cascade"} & modules
