"""Commits in a thread of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from indexer.database.outcomes import Outcome, Read
from indexer.database.writer import FindReport, Writer
from indexer.pipeline.reports import Reports
from indexer.pipeline.stages.meters import Meter

__all__ = ["Committer"]

T = TypeVar("T")


class Committer:
    """Commits one after the other, while the model goes on.

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
        self._running: Future[None] | None = None
        self._committing: frozenset[str] = frozenset()
        #: Of the thread that commits.
        self.meter = Meter()

    def __enter__(self) -> Committer:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(wait=True)

    @property
    def find(self) -> FindReport | None:
        """How reports are found; None where there are none."""
        return self._reports.find if self._reports else None

    def __contains__(self, image_id: object) -> bool:
        """Whether an image is in the commit that is under way."""
        return image_id in self._committing

    def submit(self, outcomes: Sequence[Outcome]) -> None:
        """Commit some files; first waits for the commit before, and raises what stopped it."""
        self.wait()
        self._committing = frozenset(o.image.image_id for o in outcomes if isinstance(o, Read))
        self._running = self._thread.submit(self._commit, outcomes)

    def _commit(self, outcomes: Sequence[Outcome]) -> None:
        with self.meter.working():
            self._writer.commit(outcomes, self.find)

    def call(self, function: Callable[[], T]) -> T:
        """Do something else in the commit thread, after all commits."""
        self.wait()
        return self._thread.submit(function).result()

    def wait(self) -> None:
        """Return when the last commit is durable."""
        if self._running is not None:
            running, self._running = self._running, None
            running.result()
        self._committing = frozenset()
