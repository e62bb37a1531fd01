"""A patient's studies in time order."""

from __future__ import annotations

from typing import Any, cast

from indexer.database.text.documents import Document
from search.web.pages.timeline import neighbours, timeline


def image(name: str, study: str, year: int | None, view: str = "frontal") -> Document:
    made: dict[str, Any] = {"id": name, "study": study, "year": year, "view": view}
    return cast("Document", made)


def test_years_make_the_order() -> None:
    this = image("b1", "b", 2015)
    others = [image("c1", "c", 2020), image("a1", "a", 2010), this, image("d1", "d", None)]
    moments = timeline(this, others)
    assert [(m.document["id"], m.when) for m in moments] == [
        ("d1", "earlier"),
        ("a1", "earlier"),
        ("b1", "this"),
        ("c1", "later"),
    ]
    assert neighbours(moments) == ("a1", "c1")


def test_an_image_of_the_same_view_stands_for_a_study() -> None:
    this = image("b2", "b", 2015, "lateral")
    others = [
        image("a1", "a", 2010),
        image("a2", "a", 2010, "lateral"),
        image("a3", "a", 2010),
        image("b1", "b", 2015),
        image("c1", "c", 2020),
    ]
    assert [m.document["id"] for m in timeline(this, others)] == ["a2", "b2", "c1"]


def test_one_study_has_no_neighbours() -> None:
    this = image("a1", "a", None)
    assert neighbours(timeline(this, [this, image("a2", "a", None)])) == (None, None)
