"""Pages of cohorts, and the forms that change them: a POST, then a 303."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qs, urlencode, urlsplit

from fastapi import APIRouter, Depends, Form, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import Field, ValidationError

from indexer.database.cohorts.cohort import Cohort
from indexer.errors import QueryError
from search.collecting import collect
from search.request import SearchRequest
from search.web.cohorts.changes import (
    Combination,
    check_images,
    check_owner,
    check_version,
    combine,
    current_owner,
    edited,
    may_change,
    seen_by,
)
from search.web.people.access import require
from search.web.queries import FacetQuery, NoQuery, SearchQuery, SimilarQuery
from search.web.rendering.cards import cards_of_images
from search.web.rendering.facets import TITLES, facet_lists
from search.web.rendering.responses import page
from search.web.state import ServerState, app_state

__all__ = ["router"]

router = APIRouter(
    include_in_schema=False, default_response_class=HTMLResponse, dependencies=[require("reader")]
)

_State = Annotated[ServerState, Depends(app_state)]
_Id = Annotated[str, Path(pattern="^[0-9a-f]{20}$")]
_Nothing = Annotated[NoQuery, Query()]
_Text = Annotated[str, Form()]
_PER_PAGE = 60


@router.get("/cohorts")
def cohorts(request: Request, state: _State, _: _Nothing) -> str:
    """What was collected, and forms to begin and to combine."""
    return page(request, "cohorts.html", cohorts=seen_by(request, state))


@router.post("/cohorts")
def create(request: Request, state: _State, name: _Text, note: _Text = "") -> RedirectResponse:
    """Make an empty cohort."""
    made = state.cohorts.add(name, current_owner(request), note)
    return RedirectResponse(f"/cohorts/{made.id}", 303)


@router.post("/cohorts/combine")
def combine_two(
    request: Request,
    state: _State,
    first: _Text,
    second: _Text,
    how: Annotated[Combination, Form()],
    name: _Text = "",
) -> RedirectResponse:
    """Make the union, difference or intersection of two cohorts."""
    one, other = (state.cohorts.get(_id_in(text)) for text in (first, second))
    images = combine(one, other, how)
    called = name.strip() or f"{one.name[:80]} ({how}) {other.name[:80]}"
    made = state.cohorts.add(called, current_owner(request), images=images)
    return RedirectResponse(f"/cohorts/{made.id}", 303)


def _id_in(text: str) -> str:
    """The id of a cohort, also in a link to it that somebody was sent."""
    return urlsplit(text.strip()).path.rstrip("/").rpartition("/")[2]


class ShownQuery(NoQuery):
    """Which part of a cohort is shown, and what was just done to it."""

    page: Annotated[int, Field(ge=1, le=10_000)] = 1
    added: Annotated[int | None, Field(ge=0)] = None
    asked: Annotated[int | None, Field(ge=0)] = None
    removed: Annotated[int | None, Field(ge=0)] = None
    back: Annotated[str, Field(max_length=4000)] = ""


@router.get("/cohorts/{cohort_id}")
def cohort(
    request: Request, state: _State, cohort_id: _Id, query: Annotated[ShownQuery, Query()]
) -> str:
    """One cohort: its images, its forms."""
    found = state.cohorts.get(cohort_id)
    start = (query.page - 1) * _PER_PAGE
    cards, gone = cards_of_images(state.service, found.images[start : start + _PER_PAGE])
    counts = state.service.search(FacetQuery(facet=[*TITLES], size=8).request(found.images))
    return page(
        request,
        "cohort.html",
        cohort=found,
        cards=cards,
        gone=gone,
        facets=facet_lists(counts, f"/search?cohort={cohort_id}", ()),
        there=counts.total,
        may_change=may_change(request, found),
        pages=-(-len(found.images) // _PER_PAGE),
        number=query.page,
        done=query,
        back=query.back if query.back.startswith(("/search", "/queries/", "/images/")) else "",
        link=f"{request.url.scheme}://{request.url.netloc}/cohorts/{cohort_id}",
    )


@router.post("/cohorts/{cohort_id}/edit")
def edit(
    request: Request,
    state: _State,
    cohort_id: _Id,
    name: _Text,
    version: _Text,
    note: _Text = "",
) -> RedirectResponse:
    """Give a cohort another name and note."""

    def change(cohort: Cohort) -> Cohort:
        check_owner(request, cohort)
        check_version(cohort, version)
        return edited(cohort, name, note)

    state.cohorts.change(cohort_id, change)
    return RedirectResponse(f"/cohorts/{cohort_id}", 303)


@router.post("/cohorts/{cohort_id}/remove")
def remove(
    request: Request,
    state: _State,
    cohort_id: _Id,
    ids: Annotated[list[str] | None, Form()] = None,
) -> RedirectResponse:
    """Take the marked images out of a cohort."""
    marked = _marked(ids)
    if not marked:
        raise QueryError("no image is marked: mark some of the cohort first")

    def change(cohort: Cohort) -> Cohort:
        check_owner(request, cohort)
        return cohort.without_images(marked)

    before = len(state.cohorts.get(cohort_id).images)
    after = len(state.cohorts.change(cohort_id, change).images)
    return RedirectResponse(f"/cohorts/{cohort_id}?removed={before - after}", 303)


@router.post("/cohorts/{cohort_id}/compare")
def compare_members(
    cohort_id: _Id, ids: Annotated[list[str] | None, Form()] = None
) -> RedirectResponse:
    """Put the marked images of a cohort side by side."""
    return _side_by_side(ids or [])


@router.post("/cohorts/{cohort_id}/delete")
def delete(request: Request, state: _State, cohort_id: _Id, version: _Text) -> RedirectResponse:
    """Delete a cohort; its images stay in the database."""

    def check(cohort: Cohort) -> None:
        check_owner(request, cohort)
        check_version(cohort, version)

    state.cohorts.delete(cohort_id, check)
    return RedirectResponse("/cohorts", 303)


class Collecting(NoQuery):
    """The form around an answer: what was marked, and where it is to go."""

    action: Annotated[str, Field(pattern="^(marked|all|compare)$")]
    ids: Annotated[list[str], Field(default_factory=list, max_length=1000)]
    cohort: Annotated[str, Field(pattern="^([0-9a-f]{20})?$")] = ""
    name: Annotated[str, Field(max_length=200)] = ""
    back: Annotated[str, Field(max_length=4000)] = "/"


@router.post("/collect")
def collect_hits(
    request: Request, state: _State, form: Annotated[Collecting, Form()]
) -> RedirectResponse:
    """Do with hits what was chosen: put them side by side, or into a cohort."""
    marked = _marked(form.ids)
    if form.action == "compare":
        return _side_by_side(form.ids)
    if form.action == "marked" and not marked:
        raise QueryError("no image is marked: mark the ones that are meant first")
    if form.action == "all":
        found = collect(state.service, _asked(state, form.back))
        images, asked = found.images, found.total
    else:
        images, asked = check_images(state, marked), len(marked)
    before = 0
    if form.cohort:
        before = len(state.cohorts.get(form.cohort).images)

        def change(cohort: Cohort) -> Cohort:
            check_owner(request, cohort)
            return cohort.with_images(images)

        kept = state.cohorts.change(form.cohort, change)
    else:
        kept = state.cohorts.add(form.name, current_owner(request), images=images)
    told = {"added": len(kept.images) - before, "asked": asked, "back": form.back}
    return RedirectResponse(f"/cohorts/{kept.id}?{urlencode(told)}", 303)


def _side_by_side(ids: list[str]) -> RedirectResponse:
    """To the page that compares the best images of the marked rows."""
    firsts = [text.partition(",")[0] for text in ids]
    if not 2 <= len(firsts) <= 4:
        raise QueryError(f"mark two to four to compare them; {len(firsts)} are marked")
    return RedirectResponse("/compare?ids=" + ",".join(firsts), 303)


def _marked(ids: list[str] | None) -> tuple[str, ...]:
    """The images of marked rows, each row ``ID,ID`` with its best image first."""
    return tuple(dict.fromkeys(image for text in ids or () for image in text.split(",") if image))


def _asked(state: ServerState, address: str) -> SearchRequest:
    """The search that a page of this server shows.

    Raises
    ------
    QueryError
        The address is of no such page.
    """
    place = urlsplit(address)
    values = parse_qs(place.query, keep_blank_values=True)
    lists = ("filter", "facet", "choose")
    fields = {name: found if name in lists else found[-1] for name, found in values.items()}
    if place.scheme or place.netloc:
        raise QueryError("the address is of no search of this server")
    try:
        if place.path == "/search":
            words = SearchQuery.model_validate(fields)
            return words.request(state.among(words))
        if place.path.startswith("/queries/"):
            alike = SimilarQuery.model_validate(fields)
            film = state.uploads.get(place.path.removeprefix("/queries/"))
            return alike.request(film, state.among(alike))
    except ValidationError as error:
        raise QueryError(f"the address is of no search: {error.errors()[0]['msg']}") from error
    raise QueryError("the address is of no search of this server")
