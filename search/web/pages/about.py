"""Pages about the server: how to ask, the API."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from search.web.pages.questions import example_questions
from search.web.pages.rendering import page
from search.web.people.access import require
from search.web.queries import NoQuery
from search.web.state import State, app_state

__all__ = ["router"]

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

_State = Annotated[State, Depends(app_state)]
_Nothing = Annotated[NoQuery, Query()]


@router.get("/help", dependencies=[require("reader", "nothing")])
def help_page(request: Request, state: _State, _: _Nothing) -> str:
    """Questions that this database answers, the query language, and keys."""
    return page(request, "help.html", questions=example_questions(state.service))


@router.get("/api", dependencies=[require("reader", "nothing")])
def api_page(request: Request, _: _Nothing) -> str:
    """The REST API in words, as its OpenAPI has it."""
    routes = []
    for path, methods in sorted(request.app.openapi()["paths"].items()):
        for method, what in methods.items():
            routes.append((method.upper(), path, what["description"]))
    return page(request, "api.html", routes=routes)
