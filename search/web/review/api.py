"""Labels of an image over the REST API: read with an ETag, put with it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from indexer.errors import LabelsChanged
from search.labels.labelling import ImageLabels, LabelStatement
from search.web.people.access import Asking, require
from search.web.problems import PROBLEM, PROBLEMS
from search.web.queries import NoQuery
from search.web.review.context import ReviewContext, review_context

__all__ = ["router"]

router = APIRouter(prefix="/v1", responses=PROBLEMS)

_Room = Annotated[ReviewContext, Depends(review_context)]
_Id = Annotated[str, Path(pattern="^[0-9a-f]{16}$", description="Image id.")]
_Nothing = Annotated[NoQuery, Query()]
_Name = Annotated[str, Field(min_length=1, max_length=200)]
_ETAG = re.compile(r'"([0-9]{1,18})"')
_TAGGED: dict[str, Any] = {
    "headers": {"ETag": {"description": "Of these labels.", "schema": {"type": "string"}}}
}


class Label(BaseModel):
    """What is held of one finding."""

    model_config = ConfigDict(extra="forbid")

    finding: Annotated[_Name, Field(description="A heading, such as `pleural effusion`.")]
    verdict: Literal["present", "absent"]
    words: Annotated[
        list[_Name],
        Field(max_length=20, description="Side, severity, place and the like of a present one."),
    ] = []


class Labels(BaseModel):
    """All that is held of an image by people who looked at it here."""

    model_config = ConfigDict(extra="forbid")

    labels: Annotated[list[Label], Field(max_length=100)]


class HeldLabel(Label):
    """One of them, as it was said."""

    person: str
    at: Annotated[str, Field(description="ISO 8601, UTC.")]


class PastEvent(BaseModel):
    """One thing that was said, be it undone or not."""

    number: int
    action: Literal["accept", "reject", "correct", "withdraw", "undo"]
    finding: str
    text: Annotated[str | None, Field(description="What is there instead, or as it was shown.")]
    undoes: int | None
    person: str
    at: str


class ImageLabelsAnswer(BaseModel):
    """What people said of an image."""

    image: str
    labels: list[HeldLabel]
    history: list[PastEvent]


@router.get(
    "/images/{image_id}/labels",
    dependencies=[require("reader")],
    response_model=ImageLabelsAnswer,
    responses={200: _TAGGED},
)
def labels(room: _Room, image_id: _Id, _: _Nothing, response: Response) -> dict[str, Any]:
    """What people said of an image, with all that was said before; `ETag` is for a change."""
    return _told(room.labelling.of(image_id), response)


@router.put(
    "/images/{image_id}/labels",
    dependencies=[require("reviewer")],
    response_model=ImageLabelsAnswer,
    responses={
        200: _TAGGED,
        401: {"description": "Nobody has signed in.", "content": PROBLEM},
        403: {"description": "The person or the server may not change it.", "content": PROBLEM},
        412: {"description": "The labels have changed meanwhile.", "content": PROBLEM},
        428: {"description": "`If-Match` is missing.", "content": PROBLEM},
    },
)
def put_labels(
    room: _Room,
    person: Asking,
    image_id: _Id,
    _: _Nothing,
    wanted: Labels,
    response: Response,
    if_match: Annotated[str | None, Header(description="`ETag` of the labels as read.")] = None,
) -> dict[str, Any]:
    """Have these labels stand of an image, and no others; its history keeps what stood before."""
    room.check_writable()
    if if_match is None:
        raise HTTPException(428, "name the ETag of the labels that you read in If-Match")
    tag = _ETAG.fullmatch(if_match.strip())
    if tag is None and if_match.strip() != "*":
        raise LabelsChanged(f"{if_match} is no ETag of these labels: read them again")
    statements = [
        LabelStatement(one.finding, one.verdict == "present", tuple(one.words))
        for one in wanted.labels
    ]
    after = int(tag[1]) if tag is not None else None
    found = room.labelling.put(image_id, statements, person.name, after=after)
    room.updater.soon()
    return _told(found, response)


def _told(found: ImageLabels, response: Response) -> dict[str, Any]:
    response.headers["etag"] = f'"{found.number}"'
    response.headers["cache-control"] = "no-cache"
    return found.to_json()
