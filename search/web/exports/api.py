"""All images that match, as a table."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse, Response
from starlette.exceptions import HTTPException

from search.export.exporting import ExportRequest
from search.web.exports.tables import TABLE_CONTENT, table_response
from search.web.people.access import current_person, require
from search.web.problems import PROBLEM, PROBLEMS
from search.web.queries import TableQuery
from search.web.state import ServerState, app_state

__all__ = ["router"]

router = APIRouter(prefix="/v1", responses=PROBLEMS)

_State = Annotated[ServerState, Depends(app_state)]


@router.get(
    "/export",
    dependencies=[require("reader", "export")],
    response_class=Response,
    responses={
        **TABLE_CONTENT,
        403: {"description": "Where files are is for administrators.", "content": PROBLEM},
    },
)
def export_all(
    request: Request, state: _State, query: Annotated[TableQuery, Query()]
) -> FileResponse:
    """A row for every image that matches, in the order of their ids, as `cxrdex export` has it."""
    more = [name for name in ("report", "sources") if getattr(query, name)]
    if "sources" in (*query.column, *more) and not current_person(request).may("administrator"):
        raise HTTPException(403, "sources: where files are is for administrators")
    asked = ExportRequest(
        words=query.q.strip() or None,
        literal=query.literal,
        filters=tuple(query.filter),
        choices=tuple(query.choose),
        among=state.among(query),
        columns=tuple(query.column),
        more=tuple(more),
        embeddings=query.embeddings,
    )
    return table_response(state, asked, query.format, query.q or "images")
