"""Pages of searches: by words, by a film that was sent, or by both."""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, File, Form, Query, Request, Response, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse

from indexer.errors import QueryError
from search.collecting import MAX_COLLECTED
from search.request import Mode
from search.results import Results
from search.web.cohorts.changes import own_cohorts
from search.web.people.access import require
from search.web.queries import NoQuery, SearchQuery, SimilarQuery
from search.web.rendering.cards import hit_cards
from search.web.rendering.facets import TITLES, active_filters, address_with, facet_lists
from search.web.rendering.responses import page
from search.web.state import ServerState, app_state

__all__ = ["router"]

router = APIRouter(
    include_in_schema=False, default_response_class=HTMLResponse, dependencies=[require("reader")]
)

_State = Annotated[ServerState, Depends(app_state)]
# Searches by meaning and by several things at once rank this many images.
_RANKED = 1000
_LIKE = 24
_SENT_SIZE = 512
# A word that is neither the name of a field nor an operator.
_WORD = re.compile(r"\b(?!AND\b|NOT\b)[^\W\d_]{4,}\b(?!:)")
_WORDS = 12


@router.get("/search", dependencies=[require("reader", "search")])
async def search(
    request: Request, state: _State, query: Annotated[SearchQuery, Query()]
) -> HTMLResponse:
    """Answers to words, a card for each study."""
    return await state.in_turn(lambda: HTMLResponse(_answer_to_words(request, state, query)))


def _answer_to_words(request: Request, state: ServerState, query: SearchQuery) -> str:
    wanted = {"facet": query.facet} if "facet" in query.model_fields_set else {}
    asked = query.model_copy(update={"facet": [*TITLES], "group": query.group or "study", **wanted})
    address = "/search?" + urlencode(query.model_dump(exclude_defaults=True), doseq=True)
    results, wrong = None, None
    try:
        results = state.service.search(asked.request(state.among(query)))
    except QueryError as error:
        wrong = str(error)
    return page(
        request,
        "search.html",
        query=query,
        results=results,
        wrong=wrong,
        cards=hit_cards(state.service, results) if results else [],
        facets=facet_lists(results, address, query.choose) if results else [],
        active=active_filters(address, query.choose, query.filter, query),
        near=_near(state, query.q, address, results),
        following=_following(address, results),
        literally=address_with(address, [("literal", "true")], but=("literal", "after", "page")),
        by_meaning=address_with(address, [("mode", "hybrid")], but=("mode", "after", "page")),
        table=_table(query, results),
        most=MAX_COLLECTED if query.mode == "words" else _RANKED,
        cohorts=own_cohorts(request, state),
    )


def _table(query: SearchQuery, results: Results | None) -> str | None:
    """What exports all of an answer; None of one by meaning, which has no end."""
    if results is None or query.mode != "words":
        return None
    kept = query.model_dump(include={"q", "filter", "choose", "cohort", "source", "literal"})
    if results.understood is not None:
        kept |= {"q": results.understood["query"], "literal": True}
    return "/v1/export?" + urlencode({n: v for n, v in kept.items() if v is not None}, doseq=True)


def _following(address: str, results: Results | None) -> str | None:
    if results is None or results.after is None:
        return None
    return address_with(address, [("after", results.after)], but=("after", "page"))


def _near(
    state: ServerState, words: str, address: str, results: Results | None
) -> list[tuple[str, list[tuple[str, str]]]]:
    """For each word that no image has: near words, each with the address that asks for it."""
    suggestions = dict(results.suggestions) if results is not None else {}
    single = dict.fromkeys(_WORD.findall(words))
    if results is not None and not suggestions and single:
        # Word by word, as several may be read as one phrase, or for what they mean.
        suggestions = dict(state.service.near_words([*single][:_WORDS]))
    found = []
    for word, others in suggestions.items():
        links = []
        for other in others[:3]:
            asked = re.sub(re.escape(word), other.replace("\\", r"\\"), words, flags=re.IGNORECASE)
            links.append((other, address_with(address, [("q", asked)], but=("q", "after", "page"))))
        found.append((word, links))
    return found


@router.post("/queries", dependencies=[require("reader", "search")])
async def ask(
    state: _State,
    film: Annotated[UploadFile | None, File()] = None,
    q: Annotated[str, Form(max_length=4096)] = "",
    mode: Annotated[Mode, Form()] = "words",
) -> RedirectResponse:
    """Take words, a film, or both, and send the browser to the answer."""
    content = await film.read() if film is not None else b""
    more = {"q": q.strip()} if q.strip() else {}
    if content:
        token = state.uploads.add(content)
        return RedirectResponse(_with(f"/queries/{token}", more), status_code=303)
    if film is not None and film.filename:
        raise QueryError("the film is empty: choose another file")
    if mode != "words" and more:
        more["mode"] = mode
    return RedirectResponse(_with("/search", more), status_code=303)


def _with(path: str, values: dict[str, Any]) -> str:
    return path + ("?" + urlencode(values) if values else "")


@router.get("/queries/{token}/film", dependencies=[require("reader", "nothing")])
def sent_film(state: _State, token: str, _: Annotated[NoQuery, Query()]) -> Response:
    """The film that was sent, for the page of its answer."""
    film = state.films.uploaded(state.uploads.get(token), _SENT_SIZE)
    return Response(film, media_type="image/png", headers={"cache-control": "no-store"})


@router.get("/queries/{token}", dependencies=[require("reader", "search")])
async def answer(
    request: Request, state: _State, token: str, query: Annotated[SimilarQuery, Query()]
) -> HTMLResponse:
    """The images most like an uploaded film, beside what the bundle reads in it."""
    return await state.in_turn(
        lambda: HTMLResponse(_answer_to_film(request, state, token, query)), reads=True
    )


def _answer_to_film(request: Request, state: ServerState, token: str, query: SimilarQuery) -> str:
    upload = state.uploads.get(token)
    reading = state.service.read(upload)
    limit = query.limit if "limit" in query.model_fields_set else _LIKE
    wanted = query.model_copy(
        update={"facet": [*TITLES], "group": query.group or "study", "limit": limit}
    )
    address = _with(f"/queries/{token}", {})
    asked = query.model_dump(exclude_defaults=True)
    address += "?" + urlencode(asked, doseq=True) if asked else ""
    results, wrong = None, None
    try:
        results = state.service.search(wanted.request(upload, state.among(query)))
    except QueryError as error:
        wrong = str(error)
    return page(
        request,
        "query.html",
        token=token,
        query=wanted,
        reading=reading.to_json(),
        results=results,
        wrong=wrong,
        cards=hit_cards(state.service, results) if results else [],
        facets=facet_lists(results, address, query.choose) if results else [],
        active=active_filters(address, query.choose, query.filter, query),
        near=_near(state, query.q, address, results),
        following=_following(address, results),
        most=MAX_COLLECTED,
        cohorts=own_cohorts(request, state),
    )
