"""Pages of searches: by words, and by a film that was sent."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, File, Query, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse

from indexer.errors import QueryError
from search.language.fields import FACETS
from search.results import Results
from search.web.pages.cards import cards_of, facet_lists
from search.web.pages.rendering import page
from search.web.people.access import require
from search.web.queries import NoQuery, SearchQuery, SimilarQuery
from search.web.state import State, state_of

__all__ = ["router"]

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

_State = Annotated[State, Depends(state_of)]
_Nothing = Annotated[NoQuery, Query()]
_FACETS = ("disease", "view", "sex", "origin")


@router.get("/search", dependencies=[require("reader")])
def search(request: Request, state: _State, query: Annotated[SearchQuery, Query()]) -> str:
    """Answers to words, a card for each study."""
    wanted = {"facet": query.facet} if "facet" in query.model_fields_set else {}
    asked = query.model_copy(
        update={"facet": [*_FACETS], "group": query.group or "study", **wanted}
    )
    results, wrong = None, None
    try:
        results = state.service.search(asked.request())
    except QueryError as error:
        wrong = str(error)
    return page(
        request,
        "search.html",
        query=query,
        results=results,
        wrong=wrong,
        cards=cards_of(state.service, results) if results else [],
        facets=facet_lists(results, _address(query), query.choose) if results else [],
        following=_following(query, results),
        literally=_address(query, literal="true"),
        all_facets=FACETS,
    )


def _address(query: SearchQuery, **changes: Any) -> str:
    """The address of a search page; `after` and `page` begin anew."""
    values = {**query.model_dump(exclude_defaults=True), **changes}
    values = {n: v for n, v in values.items() if n not in ("after", "page") or n in changes}
    return "/search?" + urlencode(values, doseq=True)


def _following(query: SearchQuery, results: Results | None) -> str | None:
    if results is None:
        return None
    if results.after is not None:
        return _address(query, after=results.after)
    if query.mode != "words" and len(results.hits) == query.limit:
        return _address(query, page=query.page + 1)
    return None


@router.post("/queries", dependencies=[require("reader")])
async def ask_by_film(state: _State, film: Annotated[UploadFile, File()]) -> RedirectResponse:
    """Take a film, and send the browser to its answer."""
    content = await film.read()
    if not content:
        raise QueryError("no film was sent: choose a file first")
    token = state.uploads.add(content)
    return RedirectResponse(f"/queries/{token}", status_code=303)


@router.get("/queries/{token}", dependencies=[require("reader")])
def answer(
    request: Request, state: _State, token: str, query: Annotated[SimilarQuery, Query()]
) -> str:
    """The images most like an uploaded film, beside what the bundle reads in it."""
    upload = state.uploads.get(token)
    reading = state.service.read(upload)
    wanted = query.model_copy(update={"facet": [*_FACETS], "group": query.group or "study"})
    results = state.service.search(wanted.request(upload))
    return page(
        request,
        "query.html",
        token=token,
        query=query,
        reading=reading.to_json(),
        results=results,
        cards=cards_of(state.service, results),
    )
