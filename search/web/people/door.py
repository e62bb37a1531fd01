"""Where it is found out who asks, before anything is answered."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from indexer.errors import CxrdexError
from search.web.people.identities import Identities
from search.web.people.limits import client_network, is_address
from search.web.people.person import LOCAL, Person
from search.web.people.sessions import COOKIE
from search.web.rendering.responses import error_response
from search.web.uploads import UPLOADING, limit_body

__all__ = ["OPEN", "Door"]

_log = logging.getLogger(__name__)

_Scope = MutableMapping[str, Any]

#: Paths that are open without a sign-in, as its page needs them.
OPEN = frozenset(
    {"/sign-in", "/sign-in/openid", "/sign-in/openid/callback"}
    | {"/static/style.css", "/static/icon.svg"}
)


# Bytes that someone may send who has not signed in.
_FORM = 1 << 16


class Refusal(Exception):  # noqa: N818
    """An answer in place of the one that was asked for."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


class Door:
    """Says in `request.state` who asks and from where, and refuses whoever has not signed in.

    Parameters
    ----------
    app
        What answers the rest.
    identities
        How it is known who asks; None where whoever uses this machine may do everything.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], identities: Identities | None) -> None:
        self._app = app
        self._identities = identities

    async def __call__(self, scope: _Scope, receive: Any, send: Any) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        peer = scope["client"][0] if scope.get("client") else ""
        state |= {"person": LOCAL, "session": None, "address": peer}
        if self._identities is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        state["person"] = None
        try:
            self._come_in(self._identities, request, peer)
        except CxrdexError as error:
            # If the users cannot be read, nobody gets in.
            _log.error("%s", error)
            answer = error_response(
                request, 503, "it cannot be found out who you are: tell its keeper"
            )
            await answer(scope, receive, send)
            return
        except Refusal as refusal:
            answer = error_response(
                request, refusal.status, refusal.detail, headers=refusal.headers
            )
            await answer(scope, receive, send)
            return
        if state["person"] is None and scope["path"] not in OPEN:
            await self._turned_away(request)(scope, receive, send)
            return

        async def unstored(message: _Scope) -> None:
            # Not cached, as others may use the same browser.
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
            await send(message)

        little = limit_body(receive, _FORM, "this is more than a name and a password")
        await self._app(scope, receive if state["person"] else little, unstored)

    def _come_in(self, known: Identities, request: Request, peer: str) -> None:
        state, headers = request.scope["state"], request.headers
        trusted = peer in known.settings.proxies
        if trusted:
            # The last address is the one that the proxy itself has seen.
            last = headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
            state["address"] = last if is_address(last) else peer
            if headers.get("x-forwarded-proto") in ("http", "https"):
                request.scope["scheme"] = headers["x-forwarded-proto"]
        caller = client_network(state["address"])
        person = self._person(known, request, trusted, caller)
        state["person"] = person
        _wait(known.requests.wait(person.name if person else caller), "requests")
        if request.method == "POST" and request.url.path in UPLOADING:
            _wait(known.uploads.wait(person.name if person else caller), "uploads")

    def _person(
        self, known: Identities, request: Request, trusted: bool, caller: str
    ) -> Person | None:
        headers = request.headers
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            person = known.by_token(token.strip())
            if person is None:
                request.scope["state"]["does"] = "sign in"
                _wait(known.guesses.attempt(caller), "wrong tokens")
                raise Refusal(401, "this token is not valid", **{"www-authenticate": "Bearer"})
            return person
        if trusted and known.settings.proxy_header is not None:
            names = headers.getlist(known.settings.proxy_header)
            if len(names) > 1:
                raise Refusal(400, f"the header {known.settings.proxy_header} came twice")
            if names and names[0]:
                person = known.by_name(names[0])
                if person is None:
                    raise Refusal(403, "you are known, but have no role here: ask for one")
                return person
        session = known.sessions.find(request.cookies.get(COOKIE, ""))
        if session is None:
            return None
        person = known.by_name(session.name, session.stamp)
        if person is None:
            known.sessions.end(session)
            return None
        request.scope["state"]["session"] = session
        return person

    def _turned_away(self, request: Request) -> Response:
        path = request.url.path
        if path.startswith(("/v1/", "/static/")):
            return error_response(
                request, 401, "sign in first", headers={"www-authenticate": "Bearer"}
            )
        here = path + (f"?{request.url.query}" if request.url.query else "")
        if request.method not in ("GET", "HEAD") or here == "/":
            return RedirectResponse("/sign-in", 303)
        return RedirectResponse(f"/sign-in?to={quote(here, safe='')}", 303)


def _wait(seconds: float, of_what: str) -> None:
    if seconds > 0:
        wait = str(math.ceil(seconds))
        detail = f"too many {of_what}: try again in {wait} s"
        raise Refusal(429, detail, **{"retry-after": wait})
