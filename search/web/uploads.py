"""What people send: how much of it, and films that are kept for a while in memory."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser

from indexer.errors import NotFoundError
from search.request import Upload

__all__ = ["Uploads", "keep_received_in_memory", "limit_body"]

_Message = MutableMapping[str, Any]


def keep_received_in_memory(size: int) -> None:
    """Have no file of a form written to a disk while it is received, up to `size` bytes.

    Of the whole process: the parser has a file on the disk for what is larger than a megabyte.
    """
    MultiPartParser.spool_max_size = size


def limit_body(
    receive: Callable[[], Awaitable[_Message]], size: int, refusal: str
) -> Callable[[], Awaitable[_Message]]:
    """ASGI's `receive` that refuses (413) a body of more than `size` bytes, with these words."""
    received = 0

    async def limited() -> _Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
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
