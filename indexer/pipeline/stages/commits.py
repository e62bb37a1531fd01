"""Commits in a thread of their own, and in another one what the text store is sent of them."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from indexer.database.outcomes import Outcome, Read
from indexer.database.writer import FindReport, Writer
from indexer.pipeline.reports import Reports
from indexer.pipeline.stages.meters import Meter, StageUse

__all__ = ["Committer"]

T = TypeVar("T")


# At most this many commits are ahead of the text store, unless its server does not answer.
_AHEAD = 4
# New objects after which Python looks for cycles. A commit makes hundreds of objects for each file,
# with no cycle among them, and of Python's usual 700 a sixth of its time went into the search.
_NEW_OBJECTS = 20_000


class Committer:
    """Commits one after the other, while the model goes on and the text store is sent what was
    committed before.

    Parameters
    ----------
    writer
        The database.
    reports
        Reports to attach to images.
    """

    def __init__(self, writer: Writer, reports: Reports) -> None:
        self._writer = writer
        self._reports = reports
        self._thread = ThreadPoolExecutor(1, "commit")
        self._sender = ThreadPoolExecutor(1, "send")
        self._running: Future[None] | None = None
        self._sending: deque[Future[None]] = deque()
        self._committing: frozenset[str] = frozenset()
        #: Measure the thread that commits and the thread that sends.
        self.meter, self.sending = Meter(), Meter()

    def __enter__(self) -> Committer:
        self._searches = gc.get_threshold()
        gc.set_threshold(_NEW_OBJECTS, *self._searches[1:])
        return self

    def __exit__(self, *_: object) -> None:
        gc.set_threshold(*self._searches)
        self._thread.shutdown(wait=True)
        self._sender.shutdown(wait=True)

    @property
    def find(self) -> FindReport | None:
        """How reports are found; None where there are none."""
        return self._reports.find if self._reports else None

    def __contains__(self, image_id: object) -> bool:
        """Whether an image is in the commit that is under way."""
        return image_id in self._committing

    @property
    def is_busy(self) -> bool:
        """Whether a commit is under way."""
        return self._running is not None and not self._running.done()

    def submit(self, outcomes: Sequence[Outcome]) -> None:
        """Commit some files; first waits for the commit before, and raises what stopped it."""
        self.wait()
        self._committing = frozenset(o.image.image_id for o in outcomes if isinstance(o, Read))
        self._running = self._thread.submit(self._commit, outcomes)

    def _commit(self, outcomes: Sequence[Outcome]) -> None:
        with self.meter.working():
            self._writer.store(outcomes, self.find)
        self._sending.append(self._sender.submit(self._send))
        self._wait_for_sending(_AHEAD)

    def _send(self) -> None:
        with self.sending.working():
            self._writer.outbox.drain()

    def _wait_for_sending(self, ahead: int = 0) -> None:
        """Wait until at most this many commits are unsent, and raise the error that stopped one."""
        with self.meter.waiting("send"):
            while self._sending and (len(self._sending) > ahead or self._sending[0].done()):
                self._sending.popleft().result()

    def uses(self, seconds: float) -> tuple[StageUse, StageUse]:
        """How its two threads spent these seconds."""
        return (
            StageUse.of("commit", self.meter, seconds, rest="model"),
            StageUse.of("send", self.sending, seconds, rest="commit"),
        )

    def call(self, function: Callable[[], T]) -> T:
        """Do something else in the commit thread, after all commits are sent."""
        self.wait()
        self._thread.submit(self._wait_for_sending).result()
        return self._thread.submit(function).result()

    def wait(self) -> None:
        """Return when the last commit is durable."""
        if self._running is not None:
            running, self._running = self._running, None
            running.result()
        self._committing = frozenset()
