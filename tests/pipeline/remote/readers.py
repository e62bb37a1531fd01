"""What hosts apply to files in tests: slow, counted, and with files whose names are orders."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from indexer.archive.decoding import DecodeSettings
from indexer.database.outcomes import Outcome
from indexer.pipeline.executor import FileTask, file_reader

__all__ = ["SLOW", "slow_reader"]

#: Begins the name of a mark that says which file takes very long where it is read first.
SLOW = "slow "
_VERY_LONG = 100.0


def slow_reader(
    seconds: float, marks: Path, settings: DecodeSettings
) -> Callable[[FileTask], Outcome]:
    """As `file_reader`, but each file takes so long and leaves a mark in a folder first.

    A file that is called ``crash`` ends the process that decodes it, one that is called ``poison``
    the one that reads the chunk, too. One of which a mark says so takes very long the first time.
    """
    return partial(_read, seconds, marks, settings)


def _read(seconds: float, marks: Path, settings: DecodeSettings, task: FileTask) -> Outcome:
    (marks / f"{os.getpid()}-{time.time_ns()}").touch()
    if "poison" in task.member.name:
        os.kill(os.getppid(), signal.SIGKILL)
        os._exit(11)
    if "crash" in task.member.name:
        os._exit(11)
    with contextlib.suppress(FileNotFoundError):
        (marks / f"{SLOW}{Path(task.member.name).name}").unlink()
        time.sleep(_VERY_LONG)
    time.sleep(seconds)
    return file_reader(settings)(task)
