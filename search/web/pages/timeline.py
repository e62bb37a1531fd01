"""A patient's studies in the order in which they were made, as far as that is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from indexer.database.text.documents import Document

__all__ = ["Moment", "When", "neighbours", "timeline"]

When: TypeAlias = Literal["earlier", "this", "later"]


class Moment(NamedTuple):
    """One study: an image that stands for it, and when it was made."""

    document: Document
    when: When


def timeline(document: Document, images: Sequence[Document]) -> list[Moment]:
    """The studies of a patient, of which one is that of `document`, which stands for it.

    Only the year of a study is kept: studies of one year, and of none, stand in no meant order.

    Parameters
    ----------
    images
        All of the patient; of each study one of the view of `document` is taken, if it has one.
    """
    studies: dict[str, Document] = {}
    for other in images:
        known = studies.get(other["study"])
        if known is None or (known["view"] != document["view"] == other["view"]):
            studies[other["study"]] = other
    studies[document["study"]] = document
    ordered = sorted(studies.values(), key=lambda d: (d["year"] or 0, d["study"]))
    place = ordered.index(document)
    names: tuple[When, When] = ("earlier", "later")
    return [
        Moment(one, "this" if at == place else names[at > place]) for at, one in enumerate(ordered)
    ]


def neighbours(moments: Sequence[Moment]) -> tuple[str | None, str | None]:
    """The images that stand for the studies just before and just after this one."""
    before = [one.document["id"] for one in moments if one.when == "earlier"]
    after = [one.document["id"] for one in moments if one.when == "later"]
    return (before[-1] if before else None), (after[0] if after else None)
