"""The embedded text store written by a process of its own, beside the one that commits."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import orjson

from indexer.database.text.tantivy.store import EmbeddedTextStore
from indexer.database.writer import Writer
from indexer.errors import CxrdexError, DatabaseError, FailedImage
from indexer.pipeline.workers import not_startable, signals_blocked, start

__all__ = ["TextProcess", "text_written_apart"]

# Of Linux's prctl(2).
_PR_SET_PDEATHSIG = 1

#: Documents as JSON and ids to drop; None once there will be no more.
_Task: TypeAlias = tuple[Sequence[str], Sequence[str]] | None


@contextmanager
def text_written_apart(writer: Writer) -> Iterator[None]:
    """Within, documents of an embedded text store are written by a process of its own.

    Half of what a commit takes is making and writing them, in Python, which runs one thread at a
    time. A server is sent them as ever.
    """
    if writer.manifest.text != "tantivy":
        yield
        return
    with writer.outbox.through(TextProcess(writer.layout.text)):
        yield


class TextProcess:
    """Writes an index in another process (a `writing.outbox.TextWriter`).

    It ends with the one that made it, however that ends.

    Parameters
    ----------
    path
        The index's folder.
    """

    def __init__(self, path: Path) -> None:
        with signals_blocked():
            self._worker = start(functools.partial(_work, path), None)

    def write(self, texts: Sequence[str], deletes: Sequence[str]) -> None:
        """Write documents in their JSON form and drop ids; on disk when this returns.

        Raises
        ------
        DatabaseError, DiskFullError
            It cannot, or its process has ended; nothing of it is known to be written then.
        """
        self._ask((texts, deletes))

    def close(self) -> None:
        """Let it finish its merges, and end it."""
        try:
            # Of one that has ended, who wrote last was told.
            with contextlib.suppress(DatabaseError):
                self._ask(None)
        finally:
            self._worker.end()

    def _ask(self, task: _Task) -> None:
        connection = self._worker.connection
        try:
            if not self._worker.ready:
                connection.recv()
                self._worker.ready = True
            connection.send(task)
            answer = connection.recv()
        except (EOFError, OSError) as error:
            self._worker.process.join()
            code = self._worker.process.exitcode or 0
            if not self._worker.ready:
                raise not_startable(code) from error
            raise DatabaseError(
                f"the process that writes the text index ended with code {code}; what was "
                "committed is safe: run the command again"
            ) from error
        if isinstance(answer, FailedImage):
            # What a worker says of an error that is none of ours.
            raise DatabaseError(f"the text index cannot be written: {answer.detail}")
        if isinstance(answer, CxrdexError):
            raise answer


@functools.cache
def _store(path: Path) -> EmbeddedTextStore:
    if sys.platform == "linux":
        # Else it might still write when the next run begins.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    return EmbeddedTextStore(path)


def _work(path: Path, task: _Task) -> CxrdexError | None:
    """Run in the process: its answer is the error that it met."""
    try:
        if task is None:
            _store(path).close()
        else:
            texts, deletes = task
            _store(path).apply(map(orjson.loads, texts), deletes)
    except CxrdexError as error:
        return error
    return None
