"""Counts of what was asked and how long it took, as Prometheus reads them."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["Metrics"]

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_Message = MutableMapping[str, Any]


class Metrics:
    """Counts requests by route, method and status, and their seconds; wraps an ASGI app.

    What is refused before a route is found has the route ``other``, as has what there is not.
    """

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._buckets: defaultdict[str, Counter[float]] = defaultdict(Counter)

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Any, send: Callable[..., Awaitable[None]]
    ) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def noted(message: _Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            # A route's pattern, never a path: ids and words of queries belong in no count.
            route = getattr(scope.get("route"), "path", "other")
            # Made-up methods are counted together, as there could be any number of them.
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._count(route, method, status, time.perf_counter() - started)

    def _count(self, route: str, method: str, status: int, seconds: float) -> None:
        with self._lock:
            self._requests[route, method, status] += 1
            self._seconds[route] += seconds
            for bucket in _BUCKETS:
                if seconds <= bucket:
                    self._buckets[route][bucket] += 1

    def text(self, gauges: dict[str, int]) -> str:
        """The text format 0.0.4.

        Parameters
        ----------
        gauges
            Numbers that go up and down, by name without ``cxrdex_``.
        """
        with self._lock:
            lines = ["# TYPE cxrdex_requests_total counter"]
            lines += [
                f'cxrdex_requests_total{{route="{route}",method="{method}",status="{status}"}} {n}'
                for (route, method, status), n in sorted(self._requests.items())
            ]
            lines.append("# TYPE cxrdex_request_seconds histogram")
            counts: Counter[str] = Counter()
            for (route, _, _), n in self._requests.items():
                counts[route] += n
            for route, total in sorted(counts.items()):
                lines += [
                    f'cxrdex_request_seconds_bucket{{route="{route}",le="{bucket}"}} '
                    f"{self._buckets[route][bucket]}"
                    for bucket in _BUCKETS
                ]
                lines.append(f'cxrdex_request_seconds_bucket{{route="{route}",le="+Inf"}} {total}')
                lines.append(
                    f'cxrdex_request_seconds_sum{{route="{route}"}} {self._seconds[route]:.6f}'
                )
                lines.append(f'cxrdex_request_seconds_count{{route="{route}"}} {total}')
        for name, value in sorted(gauges.items()):
            lines += [f"# TYPE cxrdex_{name} gauge", f"cxrdex_{name} {value}"]
        return "\n".join(lines) + "\n"
