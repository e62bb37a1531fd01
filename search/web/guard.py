"""What every request passes: names of the host, origins of changes, sizes, and what is sent back.

Plain ASGI, which costs a request next to nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request

from indexer import advice
from search.web.rendering.responses import error_response
from search.web.settings import WebSettings
from search.web.uploads import limit_body

__all__ = ["POLICY", "Guard"]

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[MutableMapping[str, Any], _Receive, _Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    # Without this policy a browser would not send the origin of a form.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
# Bytes that a form adds around a file.
_AROUND = 1 << 16
_CHANGES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Guard:
    """Refuses what no page of this server sends, and says in every answer what browsers may do.

    What is asked for by ``HEAD`` is answered as by ``GET``, without the body (RFC 9110, 9.3.2).

    Parameters
    ----------
    app
        What answers the rest.
    settings
        Host names and sizes.
    """

    def __init__(self, app: _App, settings: WebSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send
    ) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        bodiless = scope["method"] == "HEAD"
        outer = scope
        if bodiless:
            scope = {**scope, "method": "GET"}

        async def with_headers(message: _Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            elif bodiless and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        refused = self._refused(scope["method"], headers)
        if refused is not None:
            await error_response(Request(scope), *refused)(scope, receive, with_headers)
            return
        limited = limit_body(receive, self._settings.upload_bytes + _AROUND, self._size())
        try:
            await self._app(scope, limited, with_headers)
        finally:
            # Who counts requests looks for the route where it was not copied.
            if "route" in scope:
                outer["route"] = scope["route"]

    def _refused(self, method: str, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            name = ""
        if name not in self._settings.hosts:
            called = f"{advice.NAME_HOST} says what it is called"
            return 400, f"this server is not called {name or 'so'}; {called}"
        if method in _CHANGES:
            origin = headers.get("origin")
            if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none") or (
                origin is not None and urlsplit(origin).netloc != host
            ):
                return 403, "another site's page may not send this"
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > self._settings.upload_bytes + _AROUND:
            return 413, self._size()
        return None

    def _size(self) -> str:
        return f"an upload has {self._settings.upload_bytes >> 20} MiB at most"
