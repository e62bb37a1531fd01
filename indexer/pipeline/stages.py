"""The stages between the decode pool and the database: model, reports, commits."""

from __future__ import annotations

import hashlib
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from indexer.archive.sources.members import open_archive
from indexer.database.entry import Entry, Header
from indexer.database.writer import Writer
from indexer.errors import FailedImage, ImageError, SkippedImage
from indexer.pipeline.decoding import FileTask, Outcome
from indexer.pipeline.meters import Meter

if TYPE_CHECKING:
    from indexer.archive.decoding import DecodedImage
    from indexer.archive.reports import Report, ReportIndex
    from indexer.cascade.reading import Reading

__all__ = ["Committer", "ModelStage", "Reader", "Reports"]

T = TypeVar("T")

_COMMIT_FILES = 1000
_COMMIT_SECONDS = 10.0
# While one is interpreted the next one is computed.
_BATCHES = 2


class Reader(Protocol):
    """What reads canvases: `indexer.cascade.reading.Runtime`."""

    def read(self, canvases: npt.NDArray[np.uint8], /) -> list[Reading]:
        """Readings in the order of the canvases, shape (n, size, size)."""


class Reports:
    """The report folders of a run; looked through only when a report is first asked for.

    Parameters
    ----------
    folders
        Where reports are.
    key
        The secret of the pseudonymous ids.

    Raises
    ------
    ArchiveError
        One of the folders cannot be read.
    """

    def __init__(self, folders: Sequence[Path], key: bytes) -> None:
        self._archives = [open_archive(folder) for folder in dict.fromkeys(folders)]
        self._key = key
        self._indexes: list[ReportIndex] | None = None

    def __bool__(self) -> bool:
        return bool(self._archives)

    def open(self) -> None:
        """Look through the folders now."""
        from indexer.archive.reports import ReportIndex

        if self._indexes is None:
            self._indexes = []
            for archive in self._archives:
                self._indexes.append(ReportIndex.open(Path(archive.path), self._key))

    def find(self, report_keys: Sequence[str]) -> Report | None:
        """The report filed under the first of `report_keys` that names one."""
        self.open()
        found = (index.find(report_keys) for index in self._indexes or ())
        return next((report for report in found if report is not None), None)

    def states(self) -> dict[str, str]:
        """Per folder, a hash of the names, sizes and times of what is in it."""
        states = {}
        for archive in self._archives:
            digest = hashlib.sha256(b"1")
            for member in archive.members():
                digest.update(f"{member.name}\0{member.size}\0{member.mtime_ns}\n".encode())
            path = hashlib.sha256(archive.path.encode("utf-8", "surrogateescape")).hexdigest()
            states[path] = digest.hexdigest()
        return states

    @property
    def problems(self) -> list[str]:
        """Report files that cannot be read, one line each."""
        return [line for index in self._indexes or () for line in index.problems]

    def close(self) -> None:
        """Forget everything."""
        for index in self._indexes or ():
            index.close()
        self._indexes = None


class Committer:
    """Commits in a thread of its own, one at a time, while the model goes on.

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
    def find(self) -> Callable[[Sequence[str]], Report | None] | None:
        """How reports are found; None where there are none."""
        return self._reports.find if self._reports else None

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._committing

    def submit(self, entries: Sequence[Entry]) -> None:
        """Commit some files; first waits for the commit before, and raises what stopped it."""
        self.wait()
        self._committing = frozenset(e.image_id for e in entries if e.image_id)
        self._running = self._thread.submit(self._commit, entries)

    def _commit(self, entries: Sequence[Entry]) -> None:
        with self.meter.working():
            self._writer.commit(entries, self.find)

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


class ModelStage:
    """Takes decoded files in order, reads the new images among them in full batches, and commits.

    A context manager. The model works in threads of its own, on two batches at once, while the next
    one is collected; what is complete is committed meanwhile.

    Parameters
    ----------
    writer, committer
        The database and its commits.
    reader
        The model.
    batch_size
        Images read at once.
    """

    def __init__(
        self, writer: Writer, committer: Committer, reader: Reader, batch_size: int
    ) -> None:
        self._ledger = writer.ledger
        self._committer = committer
        self._reader = reader
        self._batch_size = batch_size
        self._threads = ThreadPoolExecutor(_BATCHES, "model")
        #: Files taken since the last batch was given to the model.
        self._entries: list[Entry] = []
        #: Canvases to be read, by the place of their entry.
        self._canvases: dict[int, npt.NDArray[np.uint8]] = {}
        self._reading: deque[tuple[list[Entry], list[int], Future[list[Reading]]]] = deque()
        #: Files to be committed.
        self._complete: list[Entry] = []
        #: Images of all these files.
        self._ids: set[str] = set()
        self._committed = time.monotonic()
        #: Of the threads that read.
        self.meter = Meter()
        #: Outcomes so far, by status; ``unchanged`` for files whose content is what it was.
        self.counts: Counter[str] = Counter()
        #: Skipped and failed files by reason.
        self.reasons: dict[Literal["skipped", "failed"], Counter[str]] = {
            "skipped": Counter(),
            "failed": Counter(),
        }

    def __enter__(self) -> ModelStage:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=True)

    def take(self, task: FileTask, outcome: Outcome | FailedImage) -> None:
        """Take one file; order matters, as of identical images the first one counts."""
        if isinstance(outcome, FailedImage):
            outcome = Outcome(None, problem=outcome)
        if outcome.problem is not None:
            self._add_problem(task, outcome, outcome.problem)
        elif outcome.image is not None:
            self._add_image(task, outcome, outcome.image)
        else:
            self.counts["unchanged"] += 1
            if task.touched:
                self._entries.append(_entry(task, outcome, "same"))
        if len(self._canvases) >= self._batch_size:
            self._read()
        self._commit_if_due()

    def finish(self) -> None:
        """Read and commit what is left."""
        self._read()
        self._complete_batches()
        self._commit()
        with self.meter.waiting("commit"):
            self._committer.wait()

    def _add_problem(self, task: FileTask, outcome: Outcome, problem: ImageError) -> None:
        status: Literal["skipped", "failed"] = (
            "skipped" if isinstance(problem, SkippedImage) else "failed"
        )
        self.counts[status] += 1
        self.reasons[status][problem.reason] += 1
        entry = _entry(task, outcome, status)
        self._entries.append(replace(entry, reason=problem.reason, detail=problem.detail))

    def _add_image(self, task: FileTask, outcome: Outcome, image: DecodedImage) -> None:
        pending = image.image_id in self._ids or image.image_id in self._committer
        known = pending or self._ledger.has_image(image.image_id)
        own = (
            known
            and not pending
            and self._ledger.owner(image.image_id) == (task.archive, task.member.name)
        )
        if not known or (own and task.reread):
            self._canvases[len(self._entries)] = image.canvas
        self.counts["duplicate" if known and not own else "done"] += 1
        header = Header(image.study, image.patient, image.metadata, image.report_keys)
        entry = _entry(task, outcome, "image")
        self._entries.append(
            replace(entry, image_id=image.image_id, header=header, thumbnail=image.thumbnail)
        )
        self._ids.add(image.image_id)

    def _read(self) -> None:
        """Give what was taken to the model, as soon as it is free."""
        if len(self._reading) == _BATCHES:
            self._complete_batch()
        if self._canvases:
            batch = np.stack(list(self._canvases.values()))
            answer = self._threads.submit(self._answer, batch)
            self._reading.append((self._entries, list(self._canvases), answer))
        else:
            self._complete_batches()
            self._complete += self._entries
        self._entries, self._canvases = [], {}

    def _answer(self, canvases: npt.NDArray[np.uint8]) -> list[Reading]:
        with self.meter.working():
            return self._reader.read(canvases)

    def _complete_batch(self) -> None:
        """Wait for the model, and add what it says of its oldest batch to the files."""
        entries, places, answer = self._reading.popleft()
        for place, reading in zip(places, answer.result(), strict=True):
            entries[place] = replace(entries[place], reading=reading)
        self._complete += entries

    def _complete_batches(self) -> None:
        while self._reading:
            self._complete_batch()

    def _commit_if_due(self) -> None:
        files = len(self._complete) + len(self._entries)
        waited = time.monotonic() - self._committed
        due = max(files / _COMMIT_FILES, waited / _COMMIT_SECONDS)
        # With what full batches completed, if any did in time: a part of one costs as much as all.
        if due >= 2 or (due >= 1 and not self._canvases and not self._reading):
            self._read()
            self._complete_batches()
        if due >= 1 and self._complete:
            self._commit()

    def _commit(self) -> None:
        if self._complete:
            with self.meter.waiting("commit"):
                self._committer.submit(self._complete)
        # Those in the commit are known to the committer from now on.
        self._ids.difference_update(e.image_id for e in self._complete if e.image_id)
        self._complete = []
        self._committed = time.monotonic()


def _entry(
    task: FileTask, outcome: Outcome, kind: Literal["image", "same", "skipped", "failed"]
) -> Entry:
    member = task.member
    return Entry(task.archive, member.name, member.size, member.mtime_ns, outcome.checksum, kind)
