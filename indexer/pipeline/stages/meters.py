"""What the stages of a run do with their time, and which of them holds up the others."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Meter", "Processor", "StageUse", "StagesUse", "cores"]

# If at least this share of the cores is busy, the processor is what limits a run.
_FULL = 0.9


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(slots=True)
class Meter:
    """Adds up a stage's seconds, of work and of waiting.

    Parameters
    ----------
    busy
        Seconds in which one of its threads worked, or several.
    waits
        Seconds of waiting, by what was waited for.
    """

    busy: float = 0.0
    waits: dict[str, float] = field(default_factory=dict)
    _workers: int = 0
    _since: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count what happens inside as work."""
        with self._lock:
            if not self._workers:
                self._since = time.monotonic()
            self._workers += 1
        try:
            yield
        finally:
            with self._lock:
                self._workers -= 1
                if not self._workers:
                    self.busy += time.monotonic() - self._since

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Count what happens inside as waiting for `what`."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.waits[what] = self.waits.get(what, 0.0) + time.monotonic() - started


@dataclass(frozen=True, slots=True)
class StageUse:
    """How a stage spent the reading part of a run.

    Parameters
    ----------
    stage
        ``"decode"``, ``"model"`` or ``"commit"``.
    workers
        Processes or threads side by side.
    busy
        Share of their time spent on work, 0..1.
    waits
        Share of their time spent waiting, by what for.
    host
        Address of the machine, where that is another one.
    """

    stage: str
    workers: int
    busy: float
    waits: dict[str, float]
    host: str | None = None

    @classmethod
    def of(
        cls, stage: str, meter: Meter, seconds: float, workers: int = 1, rest: str = "other"
    ) -> StageUse:
        """The shares of a meter; time of which it knows nothing was spent waiting for `rest`."""
        whole = max(seconds * workers, 1e-9)
        waits = {what: round(waited / whole, 4) for what, waited in meter.waits.items()}
        busy = round(min(meter.busy / whole, 1.0), 4)
        left = round(1 - busy - sum(waits.values()), 4)
        if left > 0:
            waits[rest] = round(waits.get(rest, 0.0) + left, 4)
        return cls(stage, workers, busy, waits)


@dataclass(frozen=True, slots=True)
class StagesUse:
    """Where the time of a run's reading part went.

    Parameters
    ----------
    seconds
        Length of that part.
    stages
        One for each stage, in the order of the pipeline.
    cores
        Cores the run may use.
    processor
        Share of their time that the run and its workers used, 0..1; None where the system does not
        tell.
    """

    seconds: float
    stages: tuple[StageUse, ...]
    cores: int
    processor: float | None

    @property
    def limit(self) -> str:
        """What holds up the run: ``"processor"``, or the busiest stage."""
        if self.processor is not None and self.processor >= _FULL:
            return "processor"
        return max(self.stages, key=lambda stage: stage.busy).stage

    def to_json(self) -> dict[str, Any]:
        """A JSON object, with `limit`."""
        return {**asdict(self), "limit": self.limit}


class Processor:
    """Processor time of this process and of its children that have ended, from now on."""

    def __init__(self) -> None:
        self._begun = self._used()

    @staticmethod
    def _used() -> float | None:
        if sys.platform == "win32":
            return None
        import resource

        usages = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    def use(self, seconds: float, stages: Sequence[StageUse], cores: int) -> StagesUse:
        """What was used since then, over these seconds."""
        used = self._used()
        share = None
        if used is not None and self._begun is not None:
            share = round((used - self._begun) / max(seconds * cores, 1e-9), 4)
        return StagesUse(round(seconds, 3), tuple(stages), cores, share)
