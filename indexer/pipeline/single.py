"""One image at a time, decoded under the guards of an archive: for query files and uploads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing import util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from indexer.errors import FailedImage, ImageError, SkippedImage
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

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from indexer.archive.decoding import DecodedImage, DecodeSettings
    from indexer.archive.limits import Limits

__all__ = ["DeepFilms", "FileDecoder", "FileWorkers", "StudyUids"]

T = TypeVar("T")

# Seconds after which a worker that has not started counts as failed.
_START_SECONDS = 60.0


class FileWorkers(Generic[T]):
    """Asks single files in worker processes with limited memory and time; a context manager.

    Nothing of a file is read or parsed in the calling process: pipes and devices are never opened
    to wait for them, a file that grows or unpacks without end is cut at its limit, and what
    crashes, hangs or eats memory costs one worker, which is replaced. Workers are started when they
    are first needed and kept for the next image, so a server makes one decoder and shares it
    between its threads.

    Parameters
    ----------
    function
        What a worker makes of a path, or of content and name.
    limits
        What a file may cost.
    workers
        Processes at most, which is also how many files are asked at once; further calls wait.
    """

    def __init__(self, function: Callable[[Any], Any], limits: Limits, workers: int) -> None:
        self._function = function
        self._limits = limits
        self._free = threading.BoundedSemaphore(max(1, workers))
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._closed = False
        # Workers ignore signals to end, so a process that did not close its decoder would wait for
        # them at its end.
        util.Finalize(self, _end, args=(self._idle,), exitpriority=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def warm(self) -> None:
        """Start a worker without waiting for it, so that the first image need not.

        None is started where one stands ready, or where as many as there may be are at work.
        """
        if not self._free.acquire(blocking=False):
            return
        try:
            with self._lock:
                if not self._idle and not self._closed:
                    self._idle.append(self._start())
        finally:
            self._free.release()

    def ask(self, source: Path | bytes, name: str = "") -> T:
        """What a worker makes of a file or of the content of one.

        Parameters
        ----------
        source
            Path of a file, or its bytes (an upload).
        name
            Name of an upload, which tells what it was meant to be where its content does not.

        Raises
        ------
        SkippedImage
            It is no chest radiograph, or ``too_large``; `reason` and `detail` say why.
        FailedImage
            It cannot be read: besides the reasons of `indexer.archive.decoding.decode`
            ``missing_file``, ``unreadable_file``, ``timed_out`` and ``decoder_crashed``.
        CxrdexError
            Worker processes cannot be started.
        """
        most = self._limits.file_bytes
        if isinstance(source, bytes) and len(source) > most:
            raise SkippedImage("too_large", f"over {most >> 20} MiB, the limit for a file")
        task = (source, name) if isinstance(source, bytes) else (os.path.abspath(source), "")
        with self._free:
            answer = self._ask(task)
        if isinstance(answer, ImageError):
            raise answer
        return answer

    def close(self) -> None:
        """End the workers; calls that are under way still get their answer."""
        with self._lock:
            self._closed = True
            _end(self._idle)

    def _ask(self, task: tuple[bytes | str, str]) -> T | ImageError:
        problem = FailedImage("decoder_crashed", "its decoder ended the process")
        for _ in range(MAX_CRASHES):
            worker = self._take()
            try:
                worker.connection.send(task)
                if not worker.connection.poll(self._limits.seconds):
                    worker.end()
                    return timed_out(self._limits.seconds)
                answer: T | ImageError = worker.connection.recv()
            except (EOFError, OSError):
                worker.process.join()
                problem = crashed(worker.end())
            except BaseException:
                # The caller was interrupted, so the worker's answer must not go to the next caller.
                worker.end()
                raise
            else:
                self._give_back(worker)
                return answer
        return problem

    def _start(self) -> Worker:
        with signals_blocked():
            return start(self._function, self._limits.memory_bytes)

    def _take(self) -> Worker:
        failed_starts = 0
        while True:
            with self._lock:
                worker = self._idle.pop() if self._idle else None
            if worker is not None and worker.ready and not worker.process.is_alive():
                # The kernel may end an idle worker where memory is short.
                worker.end()
                continue
            worker = worker or self._start()
            if self._begun(worker):
                return worker
            code = worker.end()
            failed_starts += 1
            if failed_starts >= MAX_FAILED_STARTS:
                raise not_startable(code)

    @staticmethod
    def _begun(worker: Worker) -> bool:
        """Wait until a worker says that it has started; False where it never does."""
        if worker.ready:
            return True
        try:
            worker.ready = worker.connection.poll(_START_SECONDS)
            if worker.ready:
                worker.connection.recv()
        except (EOFError, OSError):
            worker.process.join()
            worker.ready = False
        except BaseException:
            worker.end()
            raise
        return worker.ready

    def _give_back(self, worker: Worker) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(worker)
                return
        worker.end()


class FileDecoder(FileWorkers["DecodedImage"]):
    """Decodes single images, as `FileWorkers` does.

    Parameters
    ----------
    settings
        How images are prepared; its `limits` hold for each image.
    workers
        As of `FileWorkers`.
    """

    def __init__(self, settings: DecodeSettings, *, workers: int = 1) -> None:
        super().__init__(partial(_decode, settings), settings.limits, workers)
        self.settings = settings

    def decode(self, source: Path | bytes, name: str = "") -> DecodedImage:
        """Decode a file or the content of one; parameters and errors as of `FileWorkers.ask`."""
        return self.ask(source, name)


class DeepFilms(FileWorkers["npt.NDArray[np.uint16]"]):
    """Decodes single films with their depth (`indexer.archive.decoding.decode_deep`)."""

    def __init__(self, settings: DecodeSettings) -> None:
        super().__init__(partial(_deep, settings), settings.limits, 1)


class StudyUids(FileWorkers[str]):
    """Reads the Study Instance UIDs of single files; one that has none is answered by no text."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(partial(_study_uid, limits), limits, 1)


def _end(idle: list[Worker]) -> None:
    while idle:
        idle.pop().end()


def _decode(
    settings: DecodeSettings, task: tuple[bytes | str, str]
) -> DecodedImage | SkippedImage | FailedImage:
    from indexer.archive.decoding import decode

    return _of_file(lambda data, name: decode(data, name, settings), settings.limits, task)


def _deep(
    settings: DecodeSettings, task: tuple[bytes | str, str]
) -> npt.NDArray[np.uint16] | SkippedImage | FailedImage:
    from indexer.archive.decoding import decode_deep

    return _of_file(lambda data, _: decode_deep(data, settings), settings.limits, task)


def _study_uid(limits: Limits, task: tuple[bytes | str, str]) -> str | SkippedImage | FailedImage:
    from indexer.archive.decoding import find_study_uid

    return _of_file(lambda data, _: find_study_uid(data, limits), limits, task)


def _of_file(
    make: Callable[[bytes, str], T], limits: Limits, task: tuple[bytes | str, str]
) -> T | SkippedImage | FailedImage:
    from indexer.archive.sources.members import read_film

    source, name = task
    try:
        name = os.path.basename(source) if isinstance(source, str) else name
        return make(*read_film(source, name, limits.file_bytes))
    except (SkippedImage, FailedImage) as error:
        # Only the message is sent: a chain of causes may not survive pickling.
        return type(error)(error.reason, error.detail)
