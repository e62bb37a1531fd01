"""Pages about the server: how to ask, the API."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from search.web.pages.questions import example_questions
from search.web.people.access import require
from search.web.queries import NoQuery
from search.web.rendering.responses import page
from search.web.state import ServerState, app_state

__all__ = ["router"]

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

_State = Annotated[ServerState, Depends(app_state)]
_Nothing = Annotated[NoQuery, Query()]
# Fields of the query language, grouped.
_FIELDS = (
    (("disease", "organ", "location", "side", "severity"), "findings, whoever says them"),
    (("finding",), "words of one and the same finding: finding:(effusion AND left)"),
    (("annotation", "composite"), "the words of findings; labels that the bundle made of several"),
    (("absent", "uncertain"), "what the report denies or a person rejected; what is doubted"),
    (
        ("likely", "possible", "certainty"),
        "findings by how sure the cascade is of them",
    ),
    (("origin",), "who says a finding: predicted, human, report"),
    (("report", "indication", "comparison", "findings", "impression"), "the report, or a section"),
    (("view", "projection"), "frontal or lateral; the header's own PA, AP, LL, RL"),
    (("sex", "age", "year"), "sex:F, age:[40 TO 60], year:2019"),
    (("unusual", "note"), "hardly a chest film: yes or no; what was wrong with the file"),
    (("study", "patient", "id"), "pseudonymous ids"),
)


@router.get("/help", dependencies=[require("reader", "nothing")])
def help_page(request: Request, state: _State, _: _Nothing) -> str:
    """Questions that this database answers, the query language, and keys."""
    return page(request, "help.html", questions=example_questions(state.service), fields=_FIELDS)


@router.get("/api", dependencies=[require("reader", "nothing")])
def api_page(request: Request, _: _Nothing) -> str:
    """The REST API in words, as its OpenAPI has it."""
    routes = []
    for path, methods in sorted(request.app.openapi()["paths"].items()):
        for method, what in methods.items():
            taken = [one["name"] for one in what.get("parameters", ()) if one["in"] == "query"]
            # Every second piece is code.
            routes.append((method.upper(), path, what["description"].split("`"), taken))
    return page(request, "api.html", routes=routes)
