"""Worker processes that may crash, hang or eat memory without harm to the one that started them.

Workers never import torch, and answer one task after the other through a pipe of their own.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from indexer.errors import ArchiveUnavailable, CxrdexError, FailedImage
from indexer.memory import keep_freed_memory

__all__ = [
    "KEPT_BYTES",
    "MAX_CRASHES",
    "MAX_FAILED_STARTS",
    "Worker",
    "crashed",
    "not_startable",
    "signals_blocked",
    "start",
    "timed_out",
]

#: Bytes of freed memory that a worker keeps for the next file; enough for a large radiograph.
KEPT_BYTES = 2**28
#: A file is given up when it has ended this many workers; the first time memory may just have been
#: short.
MAX_CRASHES = 2
#: The pool gives up when this many workers in a row ended before they were ready.
MAX_FAILED_STARTS = 3
# The terminal sends these to all processes of a group, but only the parent is to act on them.
_PARENTS = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class Worker:
    """One process, its end of the pipe, and the numbers of the tasks it was given.

    Parameters
    ----------
    ready
        Whether it has said that it started.
    since
        When it was given what it works on now, in the time of `time.monotonic`.
    """

    process: BaseProcess
    connection: Connection
    tickets: deque[int] = field(default_factory=deque)
    ready: bool = False
    since: float = field(default_factory=time.monotonic)

    def end(self) -> int:
        """Kill the process, and give the code it ended with."""
        self.process.kill()
        self.process.join()
        code = self.process.exitcode or 0
        self.process.close()
        self.connection.close()
        return code


def start(function: Callable[[Any], Any], memory: int | None) -> Worker:
    """Start a worker that applies `function` to each task it is sent; returns at once.

    Parameters
    ----------
    function
        Pickled by reference.
    memory
        Bytes that it may take beyond what it starts with (POSIX only); None for no limit.
    """
    # Spawned: a forked worker would inherit the parent's threads, locks and torch.
    context = multiprocessing.get_context("spawn")
    here, there = multiprocessing.Pipe()
    process = context.Process(
        target=_serve, args=(function, there, memory), name="cxrdex-decode", daemon=True
    )
    process.start()
    there.close()
    return Worker(process, here)


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Start workers in here: a Ctrl-C then never hits them, not even while they start."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    # Started outside of the mask: it would unblock the signals that are blocked here.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _PARENTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def crashed(code: int) -> FailedImage:
    """What a task has come to that ended its worker with `code`."""
    how = f"by signal {-code}" if code < 0 else f"with code {code}"
    return FailedImage("decoder_crashed", f"its decoder ended the process {how}")


def timed_out(seconds: float) -> FailedImage:
    """What a task has come to that took longer than `seconds`."""
    return FailedImage("timed_out", f"not read within {seconds:g} s")


def not_startable(code: int) -> CxrdexError:
    """What to say of workers that end with `code` before they have begun."""
    return CxrdexError(
        f"the processes that read files cannot be started (they end with {code}): "
        "a script that reads images must do so under `if __name__ == '__main__':`"
    )


def _serve(function: Callable[[Any], Any], connection: Connection, memory: int | None) -> None:
    """A worker's life: answer tasks until the parent is gone."""
    keep_freed_memory(KEPT_BYTES)
    if memory is not None and os.name == "posix":
        _limit_memory(memory)
    for number in _PARENTS:
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        connection.send(None)
        # Decoders may print parts of a header, and the lines of workers would mix.
        sink = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(sink, stream)
        while True:
            task = connection.recv()
            try:
                answer = function(task)
            except ArchiveUnavailable as error:
                answer = error
            except MemoryError:
                answer = FailedImage("too_large", "needs more memory than a worker may take")
            except Exception as error:  # noqa: BLE001 - any error of one file is that file's
                answer = FailedImage("decoder_crashed", f"unforeseen {type(error).__name__}")
            connection.send(answer)


def _limit_memory(memory: int) -> None:
    """Refuse this process more than `memory` bytes beyond what it has, and core dumps."""
    import resource

    used = 0
    with contextlib.suppress(FileNotFoundError), open("/proc/self/statm", "rb") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    most = used + memory
    resource.setrlimit(
        resource.RLIMIT_AS,
        (most if hard == resource.RLIM_INFINITY else min(most, hard), hard),
    )
    # No core dumps: they would hold a patient's data and might fill the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
