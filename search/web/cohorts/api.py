"""Cohorts over the REST API: every change names the state that it is a change of."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from indexer.database.cohorts.cohort import Cohort
from search.collecting import collect
from search.export.exporting import ExportRequest
from search.web.cohorts.changes import (
    Combination,
    check_images,
    check_owner,
    check_version,
    combine,
    current_owner,
    edited,
    seen_by,
)
from search.web.exports.tables import TABLE_CONTENT, table_response
from search.web.people.access import require
from search.web.problems import PROBLEMS
from search.web.queries import Form, NoQuery, SearchQuery
from search.web.state import ServerState, app_state

__all__ = ["router"]

router = APIRouter(
    prefix="/v1/cohorts",
    responses=PROBLEMS,
    tags=["cohorts"],
    dependencies=[require("reader")],
)

_State = Annotated[ServerState, Depends(app_state)]
_Id = Annotated[str, Path(pattern="^[0-9a-f]{20}$", description="Cohort id.")]
_Nothing = Annotated[NoQuery, Query()]
_Match = Annotated[str | None, Header(description="ETag of the state that is changed.")]
_Image = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
_Images = Annotated[list[_Image], Field(max_length=50_000)]
_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Note = Annotated[str, Field(max_length=4000)]
_CHANGED: dict[int | str, dict[str, Any]] = {
    403: {"description": "It belongs to somebody else."},
    412: {"description": "It was changed meanwhile."},
    428: {"description": "If-Match is missing."},
}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Combined(_Body):
    """Two cohorts and what becomes of them."""

    how: Combination
    first: Annotated[str, Field(pattern="^[0-9a-f]{20}$")]
    second: Annotated[str, Field(pattern="^[0-9a-f]{20}$")]


class NewCohort(_Body):
    """A cohort to be made: of images, or of two other cohorts, or empty."""

    name: _Name
    note: _Note = ""
    images: _Images = []
    of: Combined | None = None


class WholeCohort(_Body):
    """All that may be changed of a cohort."""

    name: _Name
    note: _Note = ""
    images: _Images


class Changes(_Body):
    """The changes to a cohort; what is not named stays."""

    name: _Name | None = None
    note: _Note | None = None
    add: _Images = []
    remove: _Images = []


def _answer(cohort: Cohort, status: int = 200) -> JSONResponse:
    return JSONResponse(cohort.to_json(), status, headers={"etag": f'"{cohort.etag}"'})


@router.get("")
def cohorts(request: Request, state: _State, _: _Nothing) -> dict[str, Any]:
    """The cohorts of the person who asks, the last changed first; an administrator sees all."""
    return {"cohorts": [cohort.to_json() for cohort in seen_by(request, state)]}


@router.post("", status_code=201)
def create(request: Request, state: _State, body: NewCohort, _: _Nothing) -> JSONResponse:
    """Make a cohort; `of` makes the union, difference or intersection of two others."""
    images = check_images(state, body.images)
    if body.of is not None:
        first, second = state.cohorts.get(body.of.first), state.cohorts.get(body.of.second)
        images = tuple(dict.fromkeys([*combine(first, second, body.of.how), *images]))
    made = state.cohorts.add(body.name, current_owner(request), body.note, images)
    answer = _answer(made, 201)
    answer.headers["location"] = f"/v1/cohorts/{made.id}"
    return answer


@router.get("/{cohort_id}", responses={304: {"description": "It is as it was."}})
def read(
    state: _State,
    cohort_id: _Id,
    _: _Nothing,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """A cohort with its images; who has its id may read it."""
    found = state.cohorts.get(cohort_id)
    if if_none_match and f'"{found.etag}"' in if_none_match:
        return Response(status_code=304, headers={"etag": f'"{found.etag}"'})
    return _answer(found)


@router.put("/{cohort_id}", responses=_CHANGED)
def replace_all(
    request: Request,
    state: _State,
    cohort_id: _Id,
    body: WholeCohort,
    _: _Nothing,
    if_match: _Match = None,
) -> JSONResponse:
    """Replace name, note and images."""

    def edit(cohort: Cohort) -> Cohort:
        check_owner(request, cohort)
        check_version(cohort, if_match)
        images = check_images(state, body.images, cohort.images)
        bare = edited(cohort, body.name, body.note).without_images(cohort.images)
        return bare.with_images(images)

    return _answer(state.cohorts.change(cohort_id, edit))


@router.patch("/{cohort_id}", responses=_CHANGED)
def change(
    request: Request,
    state: _State,
    cohort_id: _Id,
    body: Changes,
    _: _Nothing,
    if_match: _Match = None,
) -> JSONResponse:
    """Change name or note, add images at the end, remove others."""

    def edit(cohort: Cohort) -> Cohort:
        check_owner(request, cohort)
        check_version(cohort, if_match)
        name = cohort.name if body.name is None else body.name
        note = cohort.note if body.note is None else body.note
        added = check_images(state, body.add, cohort.images)
        return edited(cohort, name, note).without_images(body.remove).with_images(added)

    return _answer(state.cohorts.change(cohort_id, edit))


@router.post("/{cohort_id}/answers", responses=_CHANGED)
def add_answer(
    request: Request,
    state: _State,
    cohort_id: _Id,
    body: SearchQuery,
    _: _Nothing,
    if_match: _Match = None,
) -> JSONResponse:
    """Add all images of an answer, the best 10,000 at most; the body has the fields of a search."""
    check_owner(request, state.cohorts.get(cohort_id))
    found = collect(state.service, body.request(state.among(body)))

    def edit(cohort: Cohort) -> Cohort:
        check_owner(request, cohort)
        check_version(cohort, if_match)
        return cohort.with_images(found.images)

    return _answer(state.cohorts.change(cohort_id, edit))


@router.delete("/{cohort_id}", status_code=204, responses=_CHANGED)
def delete(
    request: Request, state: _State, cohort_id: _Id, _: _Nothing, if_match: _Match = None
) -> Response:
    """Delete a cohort; its images stay in the database."""

    def check(cohort: Cohort) -> None:
        check_owner(request, cohort)
        check_version(cohort, if_match)

    state.cohorts.delete(cohort_id, check)
    return Response(status_code=204)


class ExportQuery(NoQuery):
    """Which form a table is wanted in."""

    format: Form = "csv"


@router.get(
    "/{cohort_id}/export",
    dependencies=[require("reader", "export")],
    response_class=Response,
    responses=TABLE_CONTENT,
)
def download(state: _State, cohort_id: _Id, query: Annotated[ExportQuery, Query()]) -> FileResponse:
    """A table of its images, as `cxrdex export` writes it."""
    cohort = state.cohorts.get(cohort_id)
    return table_response(state, ExportRequest(among=cohort.images), query.format, cohort.name)
