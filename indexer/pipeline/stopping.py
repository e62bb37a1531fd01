"""How a run is told to end: by its caller, or by Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

__all__ = ["Stop", "interruptible"]


class Stop(Protocol):
    """Tells a run to end soon: a `threading.Event`, or anything like it."""

    def is_set(self) -> bool:
        """Whether it is to end."""


@contextmanager
def interruptible(stop: Stop | None) -> Iterator[Callable[[], bool]]:
    """Whether the caller wants the run to end or, in the main thread, Ctrl-C (or SIGTERM) did."""
    interrupted = threading.Event()

    def stopped() -> bool:
        return interrupted.is_set() or (stop is not None and stop.is_set())

    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        signal.signal(number, signal.SIG_DFL)

    before = {
        number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
