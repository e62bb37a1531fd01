"""The pages: HTML made here, which works without scripts."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, File, Path, Query, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, select_autoescape

from indexer.errors import CxrdexError, QueryError
from search.language.fields import FACETS
from search.request import ImageId
from search.results import Results
from search.web.cards import cards_of, facet_lists, marked_report, ranked_annotations, thumbnails_of
from search.web.problems import problem
from search.web.queries import FacetQuery, NoQuery, SearchQuery, SimilarQuery
from search.web.state import State, state_of

__all__ = ["error_page", "router"]

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

_State = Annotated[State, Depends(state_of)]
_Id = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
_Nothing = Annotated[NoQuery, Query()]
_PAGE_FACETS = ("disease", "view", "sex", "origin")
_OVERVIEW_FACETS = ("disease", "view", "sex", "origin", "year")
_FINDINGS = 12

_environment = Environment(
    loader=PackageLoader("search.web"),
    autoescape=select_autoescape(),
    trim_blocks=True,
    lstrip_blocks=True,
)


def _page(template: str, **values: Any) -> str:
    return _environment.get_template(template).render(**values)


def error_page(status: int, detail: str) -> str:
    """A page that says what went wrong."""
    return _page("error.html", problem=problem(status, detail))


@router.get("/")
def overview(state: _State, _: _Nothing) -> str:
    """What is in the database, and where to begin."""
    found = state.service.search(FacetQuery(facet=[*_OVERVIEW_FACETS], size=15).request())
    return _page(
        "overview.html",
        status=state.status(),
        facets=facet_lists(found, "", ()),
    )


@router.get("/search")
def search(state: _State, query: Annotated[SearchQuery, Query()]) -> str:
    """Answers to words, a card for each study."""
    wanted = {"facet": query.facet} if "facet" in query.model_fields_set else {}
    asked = query.model_copy(
        update={"facet": [*_PAGE_FACETS], "group": query.group or "study", **wanted}
    )
    results, wrong = None, None
    try:
        results = state.service.search(asked.request())
    except QueryError as error:
        wrong = str(error)
    return _page(
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


@router.post("/queries")
async def ask_by_film(state: _State, film: Annotated[UploadFile, File()]) -> RedirectResponse:
    """Take a film, and send the browser to its answer."""
    content = await film.read()
    if not content:
        raise QueryError("no film was sent: choose a file first")
    token = state.uploads.add(content)
    return RedirectResponse(f"/queries/{token}", status_code=303)


@router.get("/queries/{token}")
def answer(state: _State, token: str, query: Annotated[SimilarQuery, Query()]) -> str:
    """The images most like an uploaded film, beside what the bundle reads in it."""
    upload = state.uploads.get(token)
    reading = state.service.read(upload)
    wanted = query.model_copy(update={"facet": [*_PAGE_FACETS], "group": query.group or "study"})
    results = state.service.search(wanted.request(upload))
    return _page(
        "query.html",
        token=token,
        query=query,
        reading=reading.to_json(),
        results=results,
        cards=cards_of(state.service, results),
    )


@router.get("/images/{image_id}")
def image(state: _State, image_id: _Id, _: _Nothing) -> str:
    """One image in full."""
    shown = state.service.show(ImageId(image_id))
    document = shown.record.document
    with state.service.snapshot() as snapshot:
        database = snapshot.database
        mates = [m for m in database.image_ids(study=document["study"]) if m != image_id]
        others = database.documents(database.image_ids(patient=document["patient"]))
        studies = {d["study"]: d for d in others if d["study"] != document["study"]}
        films = thumbnails_of(snapshot, [image_id, *mates, *(d["id"] for d in studies.values())])
    timeline = sorted(studies.values(), key=lambda d: (d["year"] or 0, d["study"]))
    similar = state.service.search(
        SimilarQuery(limit=8, group="study", exclude="study").request(image_id)
    )
    viewer = state.settings.viewer
    return _page(
        "image.html",
        shown=shown.to_json(),
        image=document,
        findings=ranked_annotations(document),
        report=marked_report(document),
        film=films[image_id],
        mates=[films[mate] for mate in mates],
        timeline=[(d, films[d["id"]]) for d in timeline],
        cards=cards_of(state.service, similar),
        labels=sorted(document["probabilities"], key=lambda f: -document["probabilities"][f]),
        viewer=viewer.format(study=document["study"], image=image_id) if viewer else None,
        most=_FINDINGS,
    )


class CompareQuery(NoQuery):
    """Which images stand side by side."""

    ids: str


@router.get("/compare")
def compare(state: _State, query: Annotated[CompareQuery, Query()]) -> str:
    """Two to four images side by side."""
    ids = [part for part in query.ids.split(",") if part]
    if not 2 <= len(ids) <= 4:
        raise QueryError("compare two to four images: ids=ID,ID")
    shown = [state.service.show(ImageId(one)).record.document for one in ids]
    with state.service.snapshot() as snapshot:
        films = thumbnails_of(snapshot, (document["id"] for document in shown))
    return _page(
        "compare.html",
        images=[(one, films[one["id"]], ranked_annotations(one)) for one in shown],
    )


@router.get("/failures")
def failures(state: _State, _: _Nothing) -> str:
    """Files that were not indexed, by reason; no path is shown."""
    return _page("failures.html", status=state.status())


@router.get("/help")
def help_page(state: _State, _: _Nothing) -> str:
    """The query language, with examples that this database answers."""
    found = state.service.search(FacetQuery(facet=["disease", "side"], size=6).request())
    diseases = [str(c.value) for c in found.facets.get("disease", ()) if c.value != "normal"]
    examples = []
    for text in _examples(diseases):
        try:
            examples.append((text, state.service.search(FacetQuery(q=text).request()).total))
        except CxrdexError:
            continue
    return _page("help.html", examples=examples)


def _examples(diseases: list[str]) -> list[str]:
    first, second = [*diseases, "cardiomegaly", "pleural effusion"][:2]
    return [
        first,
        f'"{first}" AND "{second}"',
        f'"{first}" NOT "{second}"',
        f'finding:("{first}" AND left)',
        f'absent:"{second}"',
        f'disease:"{first}" age:[60 TO 90] sex:F',
        f"view:lateral {second.split()[0][:5]}*",
    ]


@router.get("/api")
def api_page(_: _Nothing) -> str:
    """The REST API in words; its OpenAPI is made from the same code."""
    from search.web.api import router as api

    routes = [
        (sorted(route.methods)[0], route.path, route.description)  # type: ignore[attr-defined]
        for route in api.routes
    ]
    return _page("api.html", routes=routes)
