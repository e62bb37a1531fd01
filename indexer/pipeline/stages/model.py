"""The stage between the files that were read and the database: counts, model, commits."""

from __future__ import annotations

import time
from collections import Counter
from typing import Literal

from indexer import advice
from indexer.database.outcomes import Outcome, Read, Skipped, Unchanged
from indexer.pipeline.stages.batches import Batches, CanvasPredictor
from indexer.pipeline.stages.commits import Committer
from indexer.pipeline.stages.duplicates import Duplicates
from indexer.pipeline.stages.meters import Meter

__all__ = ["ModelStage"]

_COMMIT_FILES = 1000
# Where files come faster than they are committed, up to so many times that are committed together:
# of a larger commit, each file takes less of the disk.
_LARGEST = 4
_COMMIT_SECONDS = 10.0


class ModelStage:
    """Takes outcomes in order, has the new images among them read, and commits.

    A context manager; what is complete is committed while the model goes on.

    Parameters
    ----------
    duplicates
        Tells which images are new.
    committer
        Commits.
    predictor, batch_size
        The model, and how many images it reads at once; None where images come with their readings.
    reread
        Whether images are read again that were read from the same file before.
    """

    def __init__(
        self,
        duplicates: Duplicates,
        committer: Committer,
        predictor: CanvasPredictor | None,
        batch_size: int,
        *,
        reread: bool = False,
    ) -> None:
        self._duplicates = duplicates
        self._committer = committer
        self._batches = Batches(predictor, batch_size)
        self._reread = reread
        self._committed = time.monotonic()
        #: Outcomes so far, by status; ``unchanged`` for files whose content is what it was.
        self.counts: Counter[str] = Counter()
        #: Skipped and failed files by reason.
        self.reasons: dict[Literal["skipped", "failed"], Counter[str]] = {
            "skipped": Counter(),
            "failed": Counter(),
        }
        #: Notes on the images that were read, by their code.
        self.notes: Counter[str] = Counter()

    def __enter__(self) -> ModelStage:
        return self

    def __exit__(self, *_: object) -> None:
        self._batches.__exit__()

    @property
    def meter(self) -> Meter:
        """Of the threads of the model."""
        return self._batches.meter

    def take(self, outcome: Outcome) -> None:
        """Take one file; order matters, as of identical images the first one counts."""
        read = False
        if isinstance(outcome, Read) and self._duplicates.is_forgotten(outcome):
            outcome = Skipped(outcome.file, outcome.checksum, "forgotten", advice.FORGOTTEN)
        if isinstance(outcome, Read):
            image = self._duplicates.look_up(outcome)
            read = image == "new" or (image == "own" and self._reread)
            self.counts["duplicate" if image == "duplicate" else "done"] += 1
            self.notes.update(outcome.image.metadata.notes)
        elif isinstance(outcome, Unchanged):
            self.counts["unchanged"] += 1
        else:
            status: Literal["skipped", "failed"] = (
                "skipped" if isinstance(outcome, Skipped) else "failed"
            )
            self.counts[status] += 1
            self.reasons[status][outcome.reason] += 1
        self._batches.add(outcome, read=read)
        self._commit_if_due()

    def finish(self) -> None:
        """Read and commit what is left."""
        self._batches.flush()
        self._commit()
        with self.meter.waiting("commit"):
            self._committer.wait()

    def _commit_if_due(self) -> None:
        waited = time.monotonic() - self._committed
        due = max(self._batches.waiting / _COMMIT_FILES, waited / _COMMIT_SECONDS)
        if self._committer.is_busy and self._batches.waiting < _LARGEST * _COMMIT_FILES:
            return
        # Waits until full batches are done, up to twice the interval: a part of a batch costs as
        # much as a full one.
        if due >= 2 or (due >= 1 and self._batches.idle):
            self._batches.flush()
        if due >= 1:
            self._commit()

    def _commit(self) -> None:
        outcomes = self._batches.take()
        if not outcomes:
            return
        with self.meter.waiting("commit"):
            self._committer.submit(outcomes)
        self._duplicates.handed_over(outcomes)
        self._committed = time.monotonic()
