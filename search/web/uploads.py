"""What people send: how much of it, and films that are kept for a while in memory."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.requests import Request

from indexer.errors import NotFoundError
from search.request import Upload
from search.web.rendering.responses import error_response

__all__ = ["UPLOADING", "Intake", "Uploads", "keep_received_in_memory", "limit_body"]

_Message = MutableMapping[str, Any]

#: Paths to which films are sent.
UPLOADING = frozenset({"/queries", "/v1/similar"})
# Seconds after which someone who was not let in may try again: most films are answered by then.
_AGAIN = "2"
# Seconds in which what is sent must have arrived: 128 MiB at 4 Mbit/s.
_ARRIVING = 300.0


class Intake:
    """Lets in so many films at a time as there is memory for; wraps an ASGI app.

    A film counts from its first byte until it is answered. Whoever comes when it is full gets a 503
    and may come again.

    Parameters
    ----------
    app
        What answers.
    most
        How many films.
    size
        How many bytes of films; a single one is let in however large it is.
    largest
        Bytes of a film that does not say how large it is.
    """

    def __init__(
        self, app: Callable[..., Awaitable[None]], most: int, size: int, largest: int
    ) -> None:
        self._app, self._most, self._size, self._largest = app, most, size, largest
        # Only the event loop changes them, so they need no lock.
        self._films = self._bytes = 0

    async def __call__(self, scope: _Message, receive: Any, send: Any) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in UPLOADING:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        length = request.headers.get("content-length", "")
        size = int(length) if length.isdigit() else self._largest
        if self._films >= self._most or (self._films and self._bytes + size > self._size):
            refused = error_response(
                request,
                503,
                "too many films are being sent: try again in a moment",
                headers={"retry-after": _AGAIN},
            )
            await refused(scope, receive, send)
            return
        self._films, self._bytes = self._films + 1, self._bytes + size
        try:
            await self._app(scope, receive, send)
        finally:
            self._films, self._bytes = self._films - 1, self._bytes - size


def keep_received_in_memory(size: int) -> None:
    """Have no file of a form written to a disk while it is received, up to `size` bytes.

    Of the whole process: the parser has a file on the disk for what is larger than a megabyte.
    """
    MultiPartParser.spool_max_size = size


def limit_body(
    receive: Callable[[], Awaitable[_Message]],
    size: int,
    refusal: str,
    seconds: float = _ARRIVING,
) -> Callable[[], Awaitable[_Message]]:
    """ASGI's `receive` that refuses a body of more than `size` bytes (413, with these words), and
    one that is not there after some seconds (408), as it would keep its place for ever."""
    received, is_whole = 0, False
    ends = time.monotonic() + seconds

    async def limited() -> _Message:
        nonlocal received, is_whole
        try:
            # Behind its body a request may be waited on until whoever asked goes away.
            async with asyncio.timeout(None if is_whole else max(ends - time.monotonic(), 0)):
                message = await receive()
        except TimeoutError:
            raise HTTPException(
                408, "what was sent did not arrive in time: send it again"
            ) from None
        received += len(message.get("body", b""))
        is_whole = not message.get("more_body", False)
        if received > size:
            raise HTTPException(413, refusal)
        return message

    return limited


class Uploads:
    """Uploaded films, each under a name nobody can guess; threads may share it.

    Parameters
    ----------
    count
        How many are kept; the one that was not asked for for longest goes first.
    seconds
        How long one is kept after it was last asked for.
    size
        How many bytes they may have together; the last one is kept however large it is.
    clock
        Seconds that only grow.
    """

    def __init__(
        self,
        count: int,
        seconds: float,
        size: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count, self._seconds, self._size, self._clock = count, seconds, size, clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, Upload]] = OrderedDict()

    def add(self, content: bytes) -> str:
        """Keep a film; its name is forgotten, as it may be a patient's. Returns its token."""
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._forget()
            self._kept[token] = self._clock(), Upload(content, "the uploaded film")
            while len(self._kept) > 1 and self._is_full():
                self._kept.popitem(last=False)
        return token

    def get(self, token: str) -> Upload:
        """The film of a token.

        Raises
        ------
        NotFoundError
            There is none, or not any more.
        """
        with self._lock:
            self._forget()
            if token not in self._kept:
                raise NotFoundError("this uploaded film is no longer kept: send it again")
            _, upload = self._kept.pop(token)
            self._kept[token] = self._clock(), upload
            return upload

    def _is_full(self) -> bool:
        kept = sum(len(upload.content) for _, upload in self._kept.values())
        return len(self._kept) > self._count or kept > self._size

    def _forget(self) -> None:
        now = self._clock()
        for token, (asked, _) in list(self._kept.items()):
            if now - asked > self._seconds:
                del self._kept[token]
