"""The thread that writes the audit, so that no request waits for the disk."""

from __future__ import annotations

import hashlib
import hmac
import logging
import sqlite3
import threading
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

from filelock import FileLock, Timeout

from indexer.errors import CxrdexError, DatabaseLocked
from search.web.audit.key import audit_key
from search.web.audit.syslog import Syslog
from search.web.audit.trail import AuditEvent, Head, Trail, now

__all__ = ["Audit", "AuditFailed", "Details"]

_log = logging.getLogger(__name__)

#: How questions are recorded: in words, as a keyed hash that tells equal ones, or not at all.
Details: TypeAlias = Literal["full", "keyed", "none"]

# Events that may wait for the disk; with more than this, requests are refused.
_WAITING = 10_000
# Seconds between tries where the file cannot be written.
_RETRY = 1.0


class AuditFailed(Exception):  # noqa: N818
    """The audit cannot be written now."""


class Audit:
    """An audit that is being written; a context manager that threads may share.

    Parameters
    ----------
    path
        Its file; a lock beside it keeps a second server away.
    key
        File of its key, made where it does not exist; None for the one beside it.
    details
        What is kept of questions.
    syslog
        Where each row is sent too.
    interval
        Seconds between two heads in the log.

    Raises
    ------
    CxrdexError
        It cannot be written, or another server writes it.
    """

    def __init__(
        self,
        path: Path,
        key: Path | None = None,
        *,
        details: Details = "full",
        syslog: Syslog | None = None,
        interval: float = 300.0,
    ) -> None:
        self.path, self._details, self._syslog, self._interval = path, details, syslog, interval
        self._lock = FileLock(path.with_name(f"{path.name}.lock"), mode=0o600)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise DatabaseLocked(f"audit {path}: another server writes it") from error
        except OSError as error:
            raise CxrdexError(f"audit {path}: {error.strerror}; `audit` names another") from error
        try:
            self._key = audit_key(key or path.with_suffix(".key"), make=True)
            # SQLite's connection is used by the thread alone from here on.
            self._trail = Trail(path, self._key, write=True)
        except BaseException:
            self._lock.release()
            raise
        self._waiting: deque[AuditEvent] = deque()
        self._changed = threading.Condition()
        self._failure: str | None = None
        self._ends = False
        self._told: Head | None = None
        self._thread = threading.Thread(target=self._run, name="audit")
        self._thread.start()
        self.record(AuditEvent(time=now(), person="", address="", action="start"))

    def __enter__(self) -> Audit:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what waits, and log the last head.

        Raises
        ------
        CxrdexError
            Not all could be written.
        """
        with self._changed:
            if self._ends:
                return
            self._waiting.append(AuditEvent(time=now(), person="", address="", action="stop"))
            self._ends = True
            self._changed.notify_all()
        self._thread.join()
        self._trail.close()
        self._lock.release()
        if self._syslog is not None:
            self._syslog.close()
        if self._waiting:
            raise CxrdexError(
                f"audit {self.path}: {len(self._waiting)} events could not be written: "
                f"{self._failure}"
            )

    def is_ready(self) -> bool:
        """Whether what is done now can be written."""
        return self._failure is None and not self._ends and len(self._waiting) < _WAITING

    def record(self, event: AuditEvent) -> None:
        """Take an event; it is written soon.

        Raises
        ------
        AuditFailed
            The last ones could not be written.
        """
        if self._details != "full" and event.detail:
            text = event.detail.encode("utf-8", "replace")
            hashed = hmac.new(self._key, text, hashlib.sha256).hexdigest()[:16]
            event = replace(event, detail=hashed if self._details == "keyed" else "")
        with self._changed:
            if self._failure is not None or self._ends:
                raise AuditFailed(self._failure or "the server ends")
            self._waiting.append(event)
            self._changed.notify_all()

    def flush(self, seconds: float = 10.0) -> bool:
        """Wait until all that was taken is written; whether it was in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, seconds)

    # ---- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        told = time.monotonic()
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._ends or (bool(self._waiting) and self._failure is None),
                    _RETRY if self._failure is not None else self._interval,
                )
                batch, ends = list(self._waiting), self._ends
            if batch:
                self._write(batch)
            if (ends or time.monotonic() - told >= self._interval) and self._failure is None:
                self._tell()
                told = time.monotonic()
            if ends and (not self._waiting or self._failure is not None):
                return

    def _write(self, batch: list[AuditEvent]) -> None:
        try:
            rows = self._trail.add(batch)
        except (sqlite3.Error, OSError) as error:
            if self._failure is None:
                _log.error("audit %s cannot be written: %s", self.path, error)
            self._failure = str(error)
            return
        if self._failure is not None:
            _log.warning("audit %s is written again", self.path)
        with self._changed:
            self._failure = None
            for _ in batch:
                self._waiting.popleft()
            self._changed.notify_all()
        if self._told is None:
            self._tell()
        if self._syslog is not None:
            for row in rows:
                self._syslog.send(row)

    def _tell(self) -> None:
        """Log the head, which whoever cuts the file cannot cut from the log."""
        head = self._trail.head()
        if head == self._told:
            return
        self._told = head
        _log.info("audit head: row %d, seal %s", head.number, head.seal)
        if self._syslog is not None:
            self._syslog.send_head(head)
