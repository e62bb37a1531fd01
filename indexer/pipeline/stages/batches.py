"""Full batches for the model, computed while the next one is collected."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from indexer.database.outcomes import Outcome, Read
from indexer.pipeline.stages.meters import Meter

if TYPE_CHECKING:
    from indexer.cascade.reading import Reading

__all__ = ["Batches", "CanvasPredictor"]

# One batch is computed while the one before it is interpreted.
_THREADS = 2


class CanvasPredictor(Protocol):
    """What reads canvases: `indexer.cascade.reading.Predictor`."""

    def read(self, canvases: npt.NDArray[np.uint8], /) -> list[Reading]:
        """Readings in the order of the canvases, shape (n, size, size)."""


class Batches:
    """Gives images to the model in batches and outcomes back in the order in which they came.

    A context manager. The model works in threads of its own.

    Parameters
    ----------
    predictor
        The model; None where images come with what it says of them.
    size
        Images read at once.
    """

    def __init__(self, predictor: CanvasPredictor | None, size: int) -> None:
        self._predictor = predictor
        self._size = size
        self._threads = ThreadPoolExecutor(_THREADS, "model")
        #: Outcomes since the last batch was given to the model.
        self._collected: list[Outcome] = []
        #: Canvases to be read, by the place of their outcome.
        self._canvases: dict[int, npt.NDArray[np.uint8]] = {}
        self._running: deque[tuple[list[Outcome], list[int], Future[list[Reading]]]] = deque()
        self._complete: list[Outcome] = []
        #: Measures the threads that read.
        self.meter = Meter()

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=True)

    def add(self, outcome: Outcome, *, read: bool = False) -> None:
        """Take an outcome; `read` says whether what the model says of its image is wanted."""
        if isinstance(outcome, Read):
            if read and outcome.reading is None:
                self._canvases[len(self._collected)] = outcome.image.canvas
            outcome = outcome.done(outcome.reading if read else None)
        self._collected.append(outcome)
        if len(self._canvases) >= self._size:
            self._start()

    @property
    def waiting(self) -> int:
        """How many outcomes `take` would give, and those that are collected for a batch."""
        return len(self._complete) + len(self._collected)

    @property
    def idle(self) -> bool:
        """Whether the model has nothing to read."""
        return not self._canvases and not self._running

    def flush(self) -> None:
        """Have everything read, and wait for it."""
        self._start()
        while self._running:
            self._finish_oldest()

    def take(self) -> list[Outcome]:
        """The outcomes that are complete; each is given once."""
        complete, self._complete = self._complete, []
        return complete

    def _start(self) -> None:
        """Give what was collected to the model, as soon as it is free."""
        if len(self._running) == _THREADS:
            self._finish_oldest()
        if self._canvases:
            batch = np.stack(list(self._canvases.values()))
            answer = self._threads.submit(self._answer, batch)
            self._running.append((self._collected, list(self._canvases), answer))
        else:
            while self._running:
                self._finish_oldest()
            self._complete += self._collected
        self._collected, self._canvases = [], {}

    def _answer(self, canvases: npt.NDArray[np.uint8]) -> list[Reading]:
        assert self._predictor is not None
        with self.meter.working():
            return self._predictor.read(canvases)

    def _finish_oldest(self) -> None:
        """Wait for the oldest batch, and add what the model says to its outcomes."""
        outcomes, places, answer = self._running.popleft()
        for place, reading in zip(places, answer.result(), strict=True):
            outcome = outcomes[place]
            assert isinstance(outcome, Read)
            outcomes[place] = outcome.done(reading)
        self._complete += outcomes
