"""Where it is found out who asks, before anything is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from search.web.people.person import LOCAL

__all__ = ["Door"]


class Door:
    """Says in `request.state.person` who asks; wraps an ASGI app."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Handle one connection."""
        if scope["type"] == "http":
            scope.setdefault("state", {})["person"] = LOCAL
        await self._app(scope, receive, send)
