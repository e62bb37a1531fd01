"""Corrections on their way into the documents that searches ask, while nobody waits for it."""

from __future__ import annotations

import logging
import multiprocessing
import signal
import threading
from multiprocessing.connection import Connection
from pathlib import Path

from indexer.database.layout import Layout
from indexer.errors import CxrdexError, DatabaseLocked

__all__ = ["LabelUpdater"]

_log = logging.getLogger(__name__)
# Seconds to wait for further corrections, before the next try while a run writes, and after an
# error.
_GATHER, _LOCKED, _WRONG = 0.3, 1.0, 30.0


class LabelUpdater:
    """Brings corrections into a database soon after they were made; a context manager.

    It is done in a process of its own, whose locks are no others' (ADR 31).

    Parameters
    ----------
    database
        The database's folder.
    """

    def __init__(self, database: Path) -> None:
        self.database = database
        self._wanted = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> LabelUpdater:
        if Layout(self.database).labels.exists():
            # An earlier server or run may have left some.
            self.soon()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()

    def soon(self) -> None:
        """There is something to bring in."""
        self._wanted.set()
        with self._lock:
            if self._thread is None and not self._ended.is_set():
                self._thread = threading.Thread(target=self._run, name="labels", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while self._wanted.wait() and not self._ended.wait(_GATHER):
            self._wanted.clear()
            wrong = self._apply()
            if wrong is None:
                continue
            self._wanted.set()
            if wrong[0] == DatabaseLocked.__name__:
                # The run takes them over with its next commit; this one sees to the rest.
                self._ended.wait(_LOCKED)
            else:
                _log.warning("corrections wait to be searched: %s", wrong[1])
                self._ended.wait(_WRONG)

    def _apply(self) -> tuple[str, str] | None:
        """Why it could not be done, if so: the kind of error, and its text."""
        context = multiprocessing.get_context("spawn")
        answer, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(self.database, theirs), daemon=True)
        process.start()
        theirs.close()
        try:
            wrong: tuple[str, str] | None = answer.recv()
        except EOFError:
            wrong = ("Killed", "the process that brings them in ended before it was done")
        process.join()
        answer.close()
        return wrong


def _work(database: Path, answer: Connection) -> None:
    """In the process of its own."""
    from indexer.database.upkeep.labels import apply_pending_labels

    # Ctrl-C is for the server, which waits for this to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        apply_pending_labels(database)
    except CxrdexError as error:
        answer.send((type(error).__name__, str(error)))
    else:
        answer.send(None)
