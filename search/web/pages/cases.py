"""Pages of single images: one in full, and several side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, get_args

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.exceptions import HTTPException

from indexer.annotation import Origin
from indexer.database.text.documents import Document
from indexer.errors import CxrdexError, NotFoundError, QueryError
from search.request import ImageId
from search.web.cohorts.changes import own_cohorts
from search.web.films import WINDOWS
from search.web.pages.timeline import neighbours, timeline
from search.web.people.access import current_person, is_administrator, require
from search.web.queries import NoQuery, SimilarQuery
from search.web.rendering.cards import hit_cards, load_thumbnails, marked_report, ranked_annotations
from search.web.rendering.responses import page
from search.web.review.pages import judging
from search.web.state import ServerState, app_state

__all__ = ["router"]

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

_State = Annotated[ServerState, Depends(app_state)]
_Id = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]


class CaseQuery(NoQuery):
    """What is looked for in the film of a case."""

    label: Annotated[str, Query(max_length=200)] = ""


@router.get("/images/{image_id}", dependencies=[require("reader")])
def image(
    request: Request, state: _State, image_id: _Id, query: Annotated[CaseQuery, Query()]
) -> str:
    """One image in full; with a label the heat map is laid over the film."""
    shown = state.service.show(ImageId(image_id))
    document = shown.record.document
    with state.service.snapshot() as snapshot:
        database = snapshot.database
        others = sorted(m for m in database.image_ids(study=document["study"]) if m != image_id)
        patient = sorted(database.image_ids(patient=document["patient"]))
        moments = timeline(document, [*database.documents(patient)])
        films = load_thumbnails(snapshot, [*others, *(one.document["id"] for one in moments)])
    earlier, later = neighbours(moments)
    similar = state.service.search(
        SimilarQuery(limit=8, group="study", exclude="study").request(image_id)
    )
    labels = _likeliest(document)
    if query.label and query.label not in labels:
        raise QueryError(f'no probability of "{query.label}" is known; of {", ".join(labels)}')
    return page(
        request,
        "image.html",
        shown=shown.to_json(sources=is_administrator(request)),
        image=document,
        findings=ranked_annotations(document),
        origins=[o for o in get_args(Origin) if any(_has_origin(document, o))],
        report=marked_report(document),
        film=films[image_id],
        others=[films[mate] for mate in others],
        timeline=[(d, films[d["id"]], when) for d, when in moments],
        earlier=earlier,
        later=later,
        cards=hit_cards(state.service, similar),
        labels=labels,
        label=query.label,
        located=_located(state, image_id, query.label) if query.label else None,
        windows=WINDOWS,
        viewer=_viewer(request, state, document),
        cohorts=own_cohorts(request, state),
        judging=judging(request, image_id),
    )


def _viewer(request: Request, state: ServerState, document: Document) -> str | None:
    """Where the page leads to for another viewer; no original UID is on it."""
    settings, image = state.settings, document["id"]
    if settings.shows_originals:
        may = current_person(request).may(settings.viewer_role)
        return f"/images/{image}/viewer" if may else None
    return settings.viewer_address(document["study"], image)


@router.get("/images/{image_id}/viewer", dependencies=[require("reader", "open")])
def original(
    request: Request, state: _State, image_id: _Id, _: Annotated[NoQuery, Query()]
) -> RedirectResponse:
    """Send the browser to the original of a study in another viewer; the UID is kept nowhere."""
    settings = state.settings
    if not settings.shows_originals:
        raise NotFoundError("no viewer of originals is set up")
    if not current_person(request).may(settings.viewer_role):
        raise HTTPException(403, f"originals need the role {settings.viewer_role}")
    study = state.service.show(ImageId(image_id)).record.document["study"]
    address = settings.viewer_address(study, image_id, state.films.study_uid(image_id))
    assert address is not None
    return RedirectResponse(address, 303, {"cache-control": "no-store"})


def _has_origin(document: Document, origin: Origin) -> Iterator[bool]:
    return (annotation["origin"] == origin for annotation in document["annotations"])


def _located(state: ServerState, image_id: str, label: str) -> float | None:
    """How probable a finding is in the film alone; None where no heat map can be made of it."""
    try:
        return state.films.heat(image_id, label).probability
    except CxrdexError:
        return None


def _likeliest(document: Document) -> list[str]:
    chances = document["probabilities"]
    return sorted(chances, key=lambda finding: -chances[finding])


class CompareQuery(NoQuery):
    """Which images stand side by side."""

    ids: list[str]


@router.get("/compare", dependencies=[require("reader")])
def compare(request: Request, state: _State, query: Annotated[CompareQuery, Query()]) -> str:
    """Two to four images side by side."""
    ids = [part for text in query.ids for part in text.split(",") if part]
    if not 2 <= len(ids) <= 4:
        raise QueryError("compare two to four images: ids=ID,ID")
    shown = [state.service.show(ImageId(one)).record.document for one in ids]
    with state.service.snapshot() as snapshot:
        films = load_thumbnails(snapshot, (document["id"] for document in shown))
    return page(
        request,
        "compare.html",
        images=[(one, films[one["id"]], ranked_annotations(one)) for one in shown],
        labels=_likeliest(shown[0]),
        windows=WINDOWS,
    )
