"""Reading files in worker processes, in order, whatever a file does to its worker.

Each worker works on its files one after the other, so that the file that ended or held up a worker
is known for certain.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from typing import Generic, TypeVar

from indexer.errors import ArchiveUnavailable, FailedImage
from indexer.pipeline.stages.meters import Meter
from indexer.pipeline.workers import (
    MAX_CRASHES,
    MAX_FAILED_STARTS,
    Worker,
    crashed,
    not_startable,
    signals_blocked,
    start,
    timed_out,
)

__all__ = ["DecodePool"]

T = TypeVar("T")
R = TypeVar("R")

# A worker always has its next file at hand, so that it never waits for the parent.
_DEPTH = 2
_POLL = 0.1


class DecodePool(Generic[T, R]):
    """Worker processes that apply a function to tasks; a context manager, then an iterator.

    It gives the tasks with their answers in the order of `tasks`. A task that ends two workers is
    answered by ``FailedImage("decoder_crashed")``, one that takes too long by
    ``FailedImage("timed_out")``.

    Parameters
    ----------
    function
        Pickled by reference; runs in the workers.
    tasks
        Read in the thread that iterates, never more than a window ahead.
    workers
        How many processes; they are started as they are needed.
    window
        Tasks between the oldest unread answer and the newest task: what bounds the memory.
    timeout
        Seconds that one task may take.
    memory
        Bytes that a worker may take beyond what it starts with; None for no limit.
    stopped
        Asked all the time; once true, the iteration ends.
    """

    def __init__(
        self,
        function: Callable[[T], R],
        tasks: Iterator[T],
        *,
        workers: int,
        window: int,
        timeout: float = 120.0,
        memory: int | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._function = function
        self._source = tasks
        self._stopped = stopped
        self._head = self._tail = 0
        self._limit = max(1, workers)
        self._window = max(window, self._limit * _DEPTH)
        self._timeout = timeout
        self._memory = memory
        self._workers: list[Worker] = []
        self._tasks: dict[int, T] = {}
        self._waiting: deque[int] = deque()
        self._answers: dict[int, R | FailedImage] = {}
        self._crashes: dict[int, int] = {}
        self._failed_starts = 0
        self._error: Exception | None = None
        self._closed = False
        self._condition = threading.Condition()
        self._wake_receiver, self._wake_sender = multiprocessing.Pipe(duplex=False)
        #: Measures all workers together.
        self.meter = Meter()
        self._pump = threading.Thread(target=self._run, name="decode-pump", daemon=True)

    def __enter__(self) -> DecodePool[T, R]:
        self._pump.start()
        self._fill()
        return self

    def __exit__(self, *_: object) -> None:
        with self._condition:
            self._closed = True
            self._wake_sender.send_bytes(b"!")
        self._pump.join()
        self._wake_receiver.close()
        self._wake_sender.close()

    def __iter__(self) -> Iterator[tuple[T, R | FailedImage]]:
        """Tasks and answers.

        Raises
        ------
        CxrdexError
            Worker processes cannot be started.
        """
        while self._head < self._tail:
            with self._condition:
                while self._head not in self._answers:
                    if self._error is not None:
                        raise self._error
                    if self._stopped():
                        return
                    self._condition.wait(_POLL)
                answer = self._answers.pop(self._head)
                task = self._tasks.pop(self._head)
            self._head += 1
            yield task, answer
            if self._stopped():
                return
            self._fill()

    def more(self, tasks: Iterator[T]) -> Iterator[tuple[T, R | FailedImage]]:
        """Begin with further tasks, by the same workers, once those before are answered.

        Raises
        ------
        CxrdexError
            As iterating.
        """
        self._source = tasks
        self._fill()
        return iter(self)

    def _fill(self) -> None:
        while self._tail - self._head < self._window:
            task = next(self._source, None)
            if task is None:
                return
            with self._condition:
                self._tasks[self._tail] = task
                if not self._waiting:
                    self._wake_sender.send_bytes(b"!")
                self._waiting.append(self._tail)
            self._tail += 1

    # ---- the pump: the only thread that talks to workers ----------------------------------------

    def _run(self) -> None:
        try:
            with signals_blocked():
                while not self._closed:
                    self._assign()
                    self._listen()
                    self._expire()
        except Exception as error:  # noqa: BLE001 - handed to the thread that reads the answers
            with self._condition:
                self._error = error
                self._condition.notify_all()
        finally:
            for worker in self._workers:
                worker.end()

    def _assign(self) -> None:
        while True:
            free = min(self._workers, key=lambda w: len(w.tickets), default=None)
            if (free is None or free.tickets) and len(self._workers) < self._limit:
                with self._condition:
                    if not self._waiting:
                        return
                free = start(self._function, self._memory)
                self._workers.append(free)
            if free is None or len(free.tickets) >= _DEPTH:
                return
            with self._condition:
                if not self._waiting:
                    return
                ticket = self._waiting.popleft()
                task = self._tasks[ticket]
            free.tickets.append(ticket)
            if len(free.tickets) == 1:
                free.since = time.monotonic()
            # A worker that just died is found by its closed pipe, with this ticket in its queue.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                free.connection.send(task)

    def _listen(self) -> None:
        by_pipe = {worker.connection: worker for worker in self._workers}
        busy = [w.since for w in self._workers if w.ready and w.tickets]
        rest = min(busy) + self._timeout - time.monotonic() if busy else None
        for pipe in wait([self._wake_receiver, *by_pipe], None if rest is None else max(rest, 0.0)):
            if pipe is self._wake_receiver:
                self._wake_receiver.recv_bytes()
                continue
            worker = by_pipe[pipe]  # type: ignore[index]
            try:
                answer = worker.connection.recv()
            except (EOFError, OSError):
                self._after_its_end(worker)
                continue
            if isinstance(answer, ArchiveUnavailable):
                raise answer
            now = time.monotonic()
            if worker.ready:
                self.meter.busy += now - worker.since
            worker.since = now
            if not worker.ready:
                worker.ready = True
                self._failed_starts = 0
            else:
                self._answer(worker.tickets.popleft(), answer)

    def _expire(self) -> None:
        now = time.monotonic()
        for worker in list(self._workers):
            if worker.ready and worker.tickets and now - worker.since >= self._timeout:
                self._answer(worker.tickets.popleft(), timed_out(self._timeout))
                self._return(worker)

    def _after_its_end(self, worker: Worker) -> None:
        worker.process.join()
        code = worker.process.exitcode or 0
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= MAX_FAILED_STARTS:
                raise not_startable(code)
        elif worker.tickets:
            suspect = worker.tickets[0]
            self._crashes[suspect] = self._crashes.get(suspect, 0) + 1
            if self._crashes[suspect] >= MAX_CRASHES:
                self._answer(worker.tickets.popleft(), crashed(code))
        self._return(worker)

    def _return(self, worker: Worker) -> None:
        """Take a worker out and give its tasks to others, in their old order."""
        with self._condition:
            self._waiting.extendleft(reversed(worker.tickets))
        self._workers.remove(worker)
        worker.end()

    def _answer(self, ticket: int, answer: R | FailedImage) -> None:
        self._crashes.pop(ticket, None)
        with self._condition:
            self._answers[ticket] = answer
            self._condition.notify_all()
