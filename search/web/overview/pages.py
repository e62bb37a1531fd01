"""The overview, and the choice of colours."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from indexer.database.cohorts.cohort import MAX_IMAGES
from search.web.overview.health import health_checks
from search.web.people.access import is_administrator, require
from search.web.people.sign_in import way_back
from search.web.queries import FacetQuery, NoQuery
from search.web.rendering.facets import TITLES, facet_lists
from search.web.rendering.responses import THEME, page
from search.web.state import ServerState, app_state

__all__ = ["router"]

router = APIRouter(
    include_in_schema=False, default_response_class=HTMLResponse, dependencies=[require("reader")]
)

_State = Annotated[ServerState, Depends(app_state)]
_Nothing = Annotated[NoQuery, Query()]
_RUNS = 5
_YEAR = 365 * 24 * 3600


@router.get("/", dependencies=[require("reader", "nothing")])
def overview(request: Request, state: _State, _: _Nothing) -> str:
    """What is in the database, and where to begin."""
    found = state.service.search(FacetQuery(facet=[*TITLES], size=20).request())
    now = state.database_status()
    named = is_administrator(request)
    sources = state.sources()
    return page(
        request,
        "overview.html",
        status=state.status(now),
        facets=facet_lists(found, "/search", ()),
        sources=[(n, path if named else f"archive {n}", count) for n, path, count in sources],
        most_of_source=max((count for *_, count in sources), default=1),
        linked=MAX_IMAGES,
        map=request.app.state.label_maps.of(state.service),
        health=health_checks(state.service, now),
        runs=state.runs(_RUNS),
    )


@router.post("/theme", dependencies=[require("reader", "nothing")])
def theme(
    theme: Annotated[Literal["dark", "light"], Form()], back: Annotated[str, Form()] = "/"
) -> RedirectResponse:
    """Keep the colours that were chosen, and go back."""
    answer = RedirectResponse(way_back(back), 303)
    answer.set_cookie(THEME, theme, max_age=_YEAR, httponly=True, samesite="lax")
    return answer
