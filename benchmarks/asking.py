"""Many who ask a server of this machine at once, over connections that stay open."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["LoadResult", "Request", "ask"]


@dataclass(frozen=True, slots=True)
class Request:
    """One request: a target with its query, and a body to POST, or None to GET."""

    target: str
    body: bytes | None = None


@dataclass(slots=True)
class LoadResult:
    """What came of it: seconds of each answer, bytes, and what was no answer of status 200."""

    seconds: list[float] = field(default_factory=list)
    sizes: int = 0
    failed: list[str] = field(default_factory=list)
    wall: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Rate and quantiles."""
        times = sorted(self.seconds) or [0.0]
        return {
            "requests": len(self.seconds) + len(self.failed),
            "failed": len(self.failed),
            "first_failures": self.failed[:3],
            "per_second": round(len(self.seconds) / self.wall, 1) if self.wall else 0,
            **{
                f"p{share}_ms": round(1000 * times[int(share / 100 * (len(times) - 1))], 1)
                for share in (50, 95, 99)
            },
            "mean_bytes": round(self.sizes / max(1, len(self.seconds))),
        }


async def ask(
    port: int,
    draw: Callable[[random.Random], Request],
    *,
    people: int,
    seconds: float,
    most: int | None = None,
    pause: float = 0.0,
    until: asyncio.Event | None = None,
) -> LoadResult:
    """Ask for some seconds, or until there were `most` requests.

    Parameters
    ----------
    draw
        The next request of a person.
    pause
        Mean of the seconds for which a person looks at an answer.
    until
        Set when it is enough.
    """
    asked = LoadResult()
    started = time.perf_counter()
    left = [most if most is not None else 1 << 60]

    async def person(number: int) -> None:
        rng = random.Random(number)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
        while time.perf_counter() - started < seconds and left[0] > 0:
            if until is not None and until.is_set():
                break
            left[0] -= 1
            if pause:
                await asyncio.sleep(rng.expovariate(1 / pause))
            if reader.at_eof():
                # The server closed it meanwhile, as it does after some seconds without a request.
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
            request = draw(rng)
            began = time.perf_counter()
            try:
                status, size = await _one(reader, writer, request)
            except (OSError, asyncio.IncompleteReadError, ValueError) as error:
                asked.failed.append(f"{request.target}: {type(error).__name__}")
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
                continue
            if status == 200:
                asked.seconds.append(time.perf_counter() - began)
                asked.sizes += size
            else:
                asked.failed.append(f"{request.target}: {status}")
        writer.close()

    await asyncio.gather(*map(person, range(people)))
    asked.wall = time.perf_counter() - started
    return asked


async def _one(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request
) -> tuple[int, int]:
    method = "GET" if request.body is None else "POST"
    head: Sequence[str] = (
        f"{method} {request.target} HTTP/1.1",
        "host: 127.0.0.1",
        f"content-length: {len(request.body or b'')}",
    )
    writer.write("\r\n".join([*head, "", ""]).encode() + (request.body or b""))
    await writer.drain()
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
    # A server that does not say how long its answer is ends it with the connection.
    await reader.readexactly(int(fields["content-length"]))
    return int(lines[0].split()[1]), int(fields["content-length"])
