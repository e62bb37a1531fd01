"""The page of what was not indexed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from search.web.people.access import require
from search.web.queries import NoQuery
from search.web.rendering.responses import page
from search.web.state import ServerState, app_state

__all__ = ["router"]

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/failures", dependencies=[require("reader", "nothing")])
def failures(
    request: Request,
    state: Annotated[ServerState, Depends(app_state)],
    _: Annotated[NoQuery, Query()],
) -> str:
    """Files that were not indexed, by reason; no path is shown."""
    return page(request, "failures.html", status=state.status())
