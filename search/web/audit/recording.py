"""What sees every request and puts it into the audit before its answer is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request

from search.web.audit.trail import AuditEvent, now
from search.web.audit.writing import Audit, AuditFailed
from search.web.rendering.responses import error_response

__all__ = ["Recorder"]

# At most this many characters of ids and of a question are kept.
_MAX_CHARACTERS = 1000
# Parameters that are not recorded: secrets of uploaded films, page tokens and sign-in codes.
_LEFT_OUT = frozenset({"token", "after", "to", "code", "state"})


class Recorder:
    """Wraps an ASGI app; routes say by `require` what their requests are.

    Parameters
    ----------
    app
        What answers, with its door.
    audit
        Where it is written.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], audit: Audit) -> None:
        self._app, self._audit = app, audit

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Any, send: Callable[..., Awaitable[None]]
    ) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})["audit"] = self._audit
        refused = False

        async def noted(message: MutableMapping[str, Any]) -> None:
            nonlocal refused
            if message["type"] == "http.response.start":
                event = _event(scope, message["status"])
                try:
                    if event is not None:
                        self._audit.record(event)
                except AuditFailed:
                    # If the audit cannot be written, the answer is withheld.
                    refused = True
                    answer = error_response(Request(scope), 503, "the audit cannot be written")
                    await answer(scope, receive, send)
            if not refused:
                await send(message)

        await self._app(scope, receive, noted)


def _event(scope: MutableMapping[str, Any], status: int) -> AuditEvent | None:
    state = scope["state"]
    action = state.get("does", "nothing")
    if status in (403, 429) and action == "nothing":
        action = "refused"
    if action == "nothing":
        return None
    person = state.get("person")
    ids = (str(v) for k, v in scope.get("path_params", {}).items() if k not in _LEFT_OUT)
    asked = parse_qsl(scope.get("query_string", b"").decode("latin-1"))
    detail = " ".join(f"{k}={v}" for k, v in asked if k not in _LEFT_OUT)
    return AuditEvent(
        time=now(),
        person=state.get("tried") or (person.name if person else ""),
        address=state.get("address", ""),
        action=action,
        status=status,
        route=getattr(scope.get("route"), "path", ""),
        subject=" ".join(ids)[:_MAX_CHARACTERS],
        detail=(state.get("detail") or detail)[:_MAX_CHARACTERS],
    )
