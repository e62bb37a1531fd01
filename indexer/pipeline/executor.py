"""Where files are read: the seam behind which processes of this machine stand, or a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from blake3 import blake3

from indexer.database.outcomes import Failed, File, Outcome, Read, Skipped, Unchanged
from indexer.errors import FailedImage, ImageError, SkippedImage
from indexer.pipeline.pool import DecodePool
from indexer.pipeline.stages.meters import Meter, StageUse

if TYPE_CHECKING:
    from indexer.archive.decoding import DecodeSettings
    from indexer.archive.sources.members import Member

__all__ = ["Executor", "FileTask", "ProcessExecutor", "file_reader", "to_outcome"]


@dataclass(frozen=True, slots=True)
class FileTask:
    """One file to read.

    Parameters
    ----------
    archive
        Number of its archive in the ledger.
    member
        Where it is.
    checksum
        BLAKE3 it had when it was last read; if it still has, it is not decoded.
    """

    archive: int
    member: Member
    checksum: str | None = None

    @property
    def file(self) -> File:
        """The file as outcomes name it."""
        return File(self.archive, self.member.name, self.member.size, self.member.mtime_ns)


class Executor(Protocol):
    """Reads files wherever it likes; a context manager that ends what it started.

    Attributes
    ----------
    predicts
        Whether its images come with what the model says of them, and without their canvases.
    cores
        How many it has elsewhere; None where it uses those of this machine.
    """

    predicts: bool

    @property
    def cores(self) -> int | None: ...

    def __enter__(self) -> Executor: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def run(self, tasks: Iterator[FileTask]) -> Iterator[Outcome]:
        """Begin to read files, and give what became of each in the order of `tasks`.

        A task is taken when there is room for it, so that memory does not grow with the archive.
        Whatever a file does to what reads it, it ends as one outcome.
        """

    def uses(self, seconds: float) -> Sequence[StageUse]:
        """How its stages spent the seconds that `run` has taken."""


class ProcessExecutor:
    """Worker processes on this machine.

    Parameters
    ----------
    read
        What a worker does with a task; pickled by reference.
    workers
        How many processes.
    window
        Files between the oldest unread outcome and the newest task.
    seconds, memory
        What one file may take: seconds, and bytes beyond what a worker starts with (None for any).
    stopped
        Asked all the time; once true, the outcomes end.
    """

    predicts = False
    cores = None

    def __init__(
        self,
        read: Callable[[FileTask], Outcome],
        *,
        workers: int,
        window: int,
        seconds: float = 120.0,
        memory: int | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._read = read
        self._workers = workers
        self._window = window
        self._seconds = seconds
        self._memory = memory
        self._stopped = stopped
        self._pool: DecodePool[FileTask, Outcome] | None = None

    def __enter__(self) -> ProcessExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.__exit__()

    def run(self, tasks: Iterator[FileTask]) -> Iterator[Outcome]:
        """Start the processes at once; see `Executor.run`."""
        pool = DecodePool(
            self._read,
            tasks,
            workers=self._workers,
            window=self._window,
            timeout=self._seconds,
            memory=self._memory,
            stopped=self._stopped,
        )
        self._pool = pool.__enter__()
        return (to_outcome(task, answer) for task, answer in pool)

    def uses(self, seconds: float) -> Sequence[StageUse]:
        """One stage, that of decoding."""
        meter = Meter() if self._pool is None else self._pool.meter
        return [StageUse.of("decode", meter, seconds, self._workers, rest="model")]


def to_outcome(task: FileTask, answer: Outcome | FailedImage) -> Outcome:
    """What became of a file, given what a `DecodePool` says of it."""
    if isinstance(answer, FailedImage):
        return Failed(task.file, None, answer.reason, answer.detail)
    return answer


def file_reader(settings: DecodeSettings) -> Callable[[FileTask], Outcome]:
    """The function that workers apply to each file."""
    return partial(_read_file, settings)


def _read_file(settings: DecodeSettings, task: FileTask) -> Outcome:
    from indexer.archive.decoding import decode
    from indexer.archive.sources.members import read_member

    checksum = None
    try:
        data = read_member(task.member, settings.limits.file_bytes)
        checksum = blake3(data).hexdigest()
        if checksum == task.checksum:
            return Unchanged(task.file, checksum)
        return Read(task.file, checksum, decode(data, task.member.name, settings))
    except SkippedImage as error:
        return Skipped(task.file, checksum, error.reason, error.detail)
    except ImageError as error:
        return Failed(task.file, checksum, error.reason, error.detail)
