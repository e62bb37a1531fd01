"""The overview, and the choice of colours."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from search.web.pages.cards import facet_lists
from search.web.pages.rendering import THEME, page
from search.web.people.access import require
from search.web.queries import FacetQuery, NoQuery
from search.web.state import State, state_of

__all__ = ["router"]

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

_State = Annotated[State, Depends(state_of)]
_Nothing = Annotated[NoQuery, Query()]
_FACETS = ("disease", "view", "sex", "origin", "year")
_YEAR = 365 * 24 * 3600


@router.get("/", dependencies=[require("reader")])
def overview(request: Request, state: _State, _: _Nothing) -> str:
    """What is in the database, and where to begin."""
    found = state.service.search(FacetQuery(facet=[*_FACETS], size=15).request())
    return page(request, "overview.html", status=state.status(), facets=facet_lists(found, "", ()))


@router.post("/theme", dependencies=[require("reader")])
def theme(
    theme: Annotated[Literal["dark", "light"], Form()], back: Annotated[str, Form()] = "/"
) -> RedirectResponse:
    """Keep the colours that were chosen, and go back."""
    # A second slash would begin the name of another server.
    place = back if back.startswith("/") and not back.startswith(("//", "/\\")) else "/"
    answer = RedirectResponse(place, 303)
    answer.set_cookie(THEME, theme, max_age=_YEAR, httponly=True, samesite="lax")
    return answer
