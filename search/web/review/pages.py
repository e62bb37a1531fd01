"""Pages on which people judge: one film after the other, and the findings of a case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from indexer.annotation import Annotation, qualifiers, vocabulary
from indexer.database.text.documents import Document
from indexer.errors import NotFoundError, QueryError
from search.labels.labelling import make_draft, parse_label
from search.request import ImageId
from search.web.people.access import Asking, current_person, noted, require
from search.web.queries import NoQuery
from search.web.rendering.cards import marked_report, ranked_annotations
from search.web.rendering.responses import page
from search.web.review.context import ReviewContext, review_context
from search.web.state import ServerState, app_state

__all__ = ["judging", "router"]

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

_State = Annotated[ServerState, Depends(app_state)]
_Room = Annotated[ReviewContext, Depends(review_context)]
_Id = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]


class ReviewQuery(NoQuery):
    """Which finding is judged, and where."""

    label: Annotated[str, Query(max_length=200)] = ""
    image: Annotated[str | None, Query(pattern="^[0-9a-f]{16}$")] = None
    after: Annotated[str | None, Query(pattern="^[0-9a-f]{16}$")] = None
    last: Annotated[str | None, Query(pattern="^[0-9a-f]{16}$")] = None


@router.get("/review", dependencies=[require("reviewer")])
def review(
    request: Request, state: _State, room: _Room, query: Annotated[ReviewQuery, Query()]
) -> str:
    """The film of a finding that is most uncertain, of those that nobody has judged."""
    findings = room.queues.findings()
    if not query.label:
        return page(request, "review_choice.html", findings=findings, judged=room.queues.judged())
    if query.label not in findings:
        raise NotFoundError(
            f'this database has no probabilities of "{query.label}"; it has {", ".join(findings)}'
        )
    queue = room.queues.of(query.label)
    coming = queue.following(query.after, 2)
    if query.image is not None:
        named = queue.of(query.image)
        if named is None:
            raise NotFoundError(f"the image {query.image} is none that is judged here")
        coming = [named, *queue.following(query.image, 1)]
    values: dict[str, Any] = {
        "label": query.label,
        "last": query.last,
        "done": queue.done,
        "total": len(queue.films),
        "writable": room.may_write,
    }
    if not coming:
        return page(request, "review_end.html", **values)
    film, *following = coming
    noted(request, f"image {film.image}")
    document = state.service.show(ImageId(film.image)).record.document
    labels = room.labelling.of(film.image)
    annotations = ranked_annotations(document)
    return page(
        request,
        "review.html",
        **values,
        film=film,
        following=following[0] if following else None,
        image=document,
        # If people or the report name a finding, it is not shown that the cascade calls the film
        # normal.
        shown=[a for a in annotations if a["disease"] == query.label]
        or [a for a in document["annotations"] if a["disease"] == query.label],
        verdict=labels.verdicts.get(query.label),
        others=[a for a in annotations if a["disease"] != query.label],
        report=marked_report(document)
        if current_person(request).may(state.settings.reports)
        else [],
        number=labels.number,
        choices=_choices(findings),
    )


class Judgement(BaseModel):
    """What a form says of a finding; `finding` and `words` are of a correction."""

    model_config = ConfigDict(extra="forbid")

    label: Annotated[str, Field(max_length=200)] = ""
    action: Literal["accept", "reject", "correct", "undo"]
    number: Annotated[int, Field(ge=0)]
    finding: Annotated[str, Field(max_length=200)] = ""
    words: Annotated[list[str], Field(max_length=20)] = []
    more: Annotated[str, Field(max_length=500)] = ""

    def keep(self, room: ReviewContext, image: str, person: str) -> None:
        """Record it."""
        room.check_writable()
        if self.action == "undo":
            finding = self.label or None
            room.labelling.undo(image, person, finding=finding, after=self.number)
        else:
            document = room.labelling.shown(image)
            judged, annotation = self._parsed(document)
            draft = make_draft(document, judged, annotation)
            room.labelling.record(image, [draft], person, after=self.number)
        room.updater.soon()

    def _parsed(self, document: Document) -> tuple[str, Annotation | None]:
        """The finding that is judged, and what is there."""
        known = document["probabilities"]
        judged = parse_label(self.label, (), known)
        if self.action == "reject":
            return judged.disease, None
        words = [*self.words, *self.more.split(",")]
        words = [word for word in words if word.strip()]
        if self.action == "accept":
            return judged.disease, judged
        if not words and self.finding.strip().lower() in ("", judged.disease):
            raise QueryError("a correction names another finding, or words of this one")
        return judged.disease, parse_label(self.finding or self.label, words, known)


@router.post("/review/{image_id}", dependencies=[require("reviewer")])
def judge_next(
    room: _Room, person: Asking, image_id: _Id, judgement: Annotated[Judgement, Form()]
) -> RedirectResponse:
    """Keep a judgement, and go on to the next film; or take the last one of a film back."""
    judgement.keep(room, image_id, person.name)
    where = (
        {"image": image_id} if judgement.action == "undo" else {"after": image_id, "last": image_id}
    )
    return RedirectResponse(f"/review?{urlencode({'label': judgement.label, **where})}", 303)


@router.post("/images/{image_id}/labels", dependencies=[require("reviewer")])
def judge_case(
    room: _Room, person: Asking, image_id: _Id, judgement: Annotated[Judgement, Form()]
) -> RedirectResponse:
    """Keep a judgement of a finding of a case."""
    judgement.keep(room, image_id, person.name)
    return RedirectResponse(f"/images/{image_id}#findings", 303)


def judging(request: Request, image: str) -> dict[str, Any] | None:
    """What a case's page needs for its forms; None for who may not judge."""
    room = review_context(request)
    if not current_person(request).may("reviewer") or not room.may_write:
        return None
    labels = room.labelling.of(image)
    return {
        "number": labels.number,
        "denied": [name for name, verdict in labels.verdicts.items() if verdict.annotation is None],
        "verdicts": labels.verdicts,
        "last": labels.last(),
    }


def _choices(findings: Sequence[str]) -> dict[str, list[str]]:
    """What a correction may choose from."""
    words = qualifiers()
    return {
        "finding": sorted({*findings, *vocabulary()["disease"]}),
        "side": sorted(words["side"]),
        "severity": sorted(words["severity"]),
        "more": sorted({*words["location"], *words["organ"], *vocabulary()["other"]}),
    }
