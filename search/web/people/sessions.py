"""Who has signed in with a browser: in memory, under signed names that nobody can guess."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from itsdangerous import BadSignature, URLSafeSerializer

__all__ = ["COOKIE", "Session", "Sessions"]

COOKIE = "cxrdex-session"
_MAX_SESSIONS = 10_000


@dataclass(slots=True)
class Session:
    """One browser that has signed in.

    Parameters
    ----------
    id
        Its secret.
    name
        Of the person.
    stamp
        Of the person in the users file when they signed in; empty for one whom it does not name.
    begun, seen
        Seconds of the clock: when they signed in, and last asked.
    """

    id: str
    name: str
    stamp: str
    begun: float
    seen: float


class Sessions:
    """All sessions of a server; they end with it. Threads may share it.

    Parameters
    ----------
    idle, longest
        Seconds without a request, and at all, after which one ends.
    each
        How many one person may have; the one that was idle for longest ends first.
    clock
        Seconds that only grow.
    """

    def __init__(
        self,
        idle: float,
        longest: float,
        each: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._idle, self._longest, self._each, self._clock = idle, longest, each, clock
        self._signer = URLSafeSerializer(secrets.token_bytes(32), salt="session")
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Session] = OrderedDict()

    def begin(self, name: str, stamp: str) -> str:
        """Open one; returns the value of its cookie."""
        now = self._clock()
        session = Session(secrets.token_urlsafe(24), name, stamp, now, now)
        with self._lock:
            self._forget(now)
            mine = [one.id for one in self._open.values() if one.name == name]
            for old in mine[: max(0, len(mine) + 1 - self._each)]:
                del self._open[old]
            while len(self._open) >= _MAX_SESSIONS:
                self._open.popitem(last=False)
            self._open[session.id] = session
        value = self._signer.dumps(session.id)
        return value if isinstance(value, str) else value.decode()

    def find(self, cookie: str) -> Session | None:
        """The session of a cookie, if it is still open."""
        try:
            ident = self._signer.loads(cookie)
        except BadSignature:
            return None
        now = self._clock()
        with self._lock:
            self._forget(now)
            session = self._open.get(ident) if isinstance(ident, str) else None
            if session is None or now - session.begun > self._longest:
                return None
            session.seen = now
            self._open.move_to_end(session.id)
            return session

    def end(self, session: Session) -> None:
        """Close one."""
        with self._lock:
            self._open.pop(session.id, None)

    def _forget(self, now: float) -> None:
        """Drop those that were idle for too long, which stand first."""
        while self._open:
            session = next(iter(self._open.values()))
            if now - session.seen <= self._idle:
                break
            del self._open[session.id]
