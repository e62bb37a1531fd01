"""What events of people mean in the end, and what that makes of a document."""

from __future__ import annotations

from typing import Any

import pytest

from indexer.annotation import Annotation
from indexer.archive.deidentify import Metadata
from indexer.archive.reports import Report
from indexer.database.labels.events import Event, LabelAction, combine_verdicts, verdicts
from indexer.database.labels.verdict_documents import apply_verdicts
from indexer.database.text.documents import Document, build_document

A, B = "a" * 16, "b" * 16


def said(disease: str, *words: str) -> Annotation:
    return Annotation.from_words("human", disease, words)


def event(
    number: int,
    action: LabelAction,
    finding: str,
    annotation: Annotation | None = None,
    *,
    image: str = A,
    undoes: int | None = None,
) -> Event:
    return Event(
        number=number, image=image, action=action, finding=finding, annotation=annotation,
        person="ann", at="2026-01-02T03:04:05+00:00", undoes=undoes,
    )  # fmt: skip


def document(*predicted: str, text: str = "", mesh: tuple[Annotation, ...] = ()) -> Document:
    annotations = [
        Annotation("predicted", said(*name.split("/")).words).to_json() for name in predicted
    ]
    reading: dict[str, Any] = {
        "annotations": annotations,
        "probabilities": {"cardiomegaly": 0.4},
        "view": "frontal",
    }
    report = Report("u", {"findings": text}, mesh) if text or mesh else None
    return build_document(A, "s", "p", Metadata(rows=8, columns=9), reading, report)


def affirmed(found: Document) -> list[tuple[str, str]]:
    return [(a["origin"], a["text"]) for a in found["annotations"]]


def denied(found: Document) -> list[str]:
    return [a["text"] for a in found["absent"]]


def apply(found: Document, *events: Event) -> Document:
    return apply_verdicts(found, verdicts(events))


def test_an_event_survives_json() -> None:
    for one in (
        event(3, "accept", "mass", said("mass", "left")),
        event(4, "undo", "mass", undoes=3),
    ):
        assert Event.from_json(one.to_json()) == one


def test_accepted() -> None:
    found = apply(
        document("cardiomegaly", "normal"), event(1, "accept", "cardiomegaly", said("cardiomegaly"))
    )
    assert affirmed(found) == [("human", "cardiomegaly")]
    assert found["probabilities"] == {"cardiomegaly": 0.4}


def test_rejected() -> None:
    found = apply(document("cardiomegaly", "mass"), event(1, "reject", "cardiomegaly"))
    assert affirmed(found) == [("predicted", "mass")]
    assert denied(found) == ["cardiomegaly"]


def test_another_side_and_another_finding() -> None:
    found = apply(
        document("opacity/left", "mass/right"),
        event(1, "correct", "opacity", said("opacity", "right")),
        event(2, "correct", "mass", said("nodule", "right")),
    )
    assert affirmed(found) == [("human", "opacity, right"), ("human", "nodule, right")]
    assert denied(found) == ["mass"]


def test_undo_and_withdrawal() -> None:
    accept = event(1, "accept", "mass", said("mass"))
    reject = event(2, "reject", "mass")
    assert verdicts([accept, reject])["mass"].annotation is None
    assert verdicts([accept, reject, event(3, "undo", "mass", undoes=2)])["mass"].event == accept
    assert verdicts([accept, reject, event(3, "withdraw", "mass")]) == {}


def test_who_says_normal_denies_what_is_predicted_alone() -> None:
    found = apply(
        document("cardiomegaly", "normal", text="There is a mass."),
        event(1, "accept", "normal", said("normal")),
    )
    assert affirmed(found) == [("human", "normal"), ("report", "mass, lung")]
    assert denied(found) == ["cardiomegaly"]


@pytest.mark.parametrize("action", ["accept", "reject", "correct"])
def test_reports_and_imported_labels(action: LabelAction) -> None:
    mesh = (said("cardiomegaly"), said("mass", "left"))
    text = "The heart is enlarged. No pneumothorax. Possible pleural effusion."
    before = document("normal", text=text, mesh=mesh)
    assert ("report", "cardiomegaly") in affirmed(before)
    worded = {
        "accept": said("cardiomegaly"),
        "reject": None,
        "correct": said("cardiomegaly", "mild"),
    }
    found = apply(before, event(1, action, "cardiomegaly", worded[action]))
    mass = ("human", "mass, left")
    assert (
        affirmed(found)
        == {
            "accept": [("human", "cardiomegaly"), mass, ("report", "cardiomegaly")],
            "reject": [("predicted", "normal"), mass],
            "correct": [mass, ("human", "cardiomegaly, mild")],
        }[action]
    )
    assert found["report"] == before["report"]
    settled = apply(
        before,
        event(1, "accept", "pneumothorax", said("pneumothorax")),
        event(2, "reject", "pleural effusion"),
    )
    assert denied(before) == ["pneumothorax"]
    assert denied(settled) == ["pleural effusion"]
    assert settled["uncertain"] == []


def test_a_report_that_people_contradict_is_as_one_that_denies() -> None:
    before = document(text="There is a large pleural effusion. The heart is enlarged.")
    said_by_report = before["statements"]["findings"]
    assert "pleural effusion" in said_by_report
    kept = apply(before, event(1, "accept", "pleural effusion", said("pleural effusion")))
    assert kept["statements"] == before["statements"]
    found = apply(before, event(1, "reject", "pleural effusion"))
    left = found["statements"]["findings"]
    assert "effusion" not in left
    assert "heart is enlarged" in left
    assert len(left) == len(said_by_report)
    assert found["report"] == before["report"]


def test_a_study_shares_what_is_said_and_each_image_says_its_own_first() -> None:
    events = [
        event(1, "reject", "mass"),
        event(2, "accept", "mass", said("mass"), image=B),
        event(3, "reject", "nodule", image=B),
    ]
    assert {n: v.event.number for n, v in combine_verdicts(events, A, alone=False).items()} == {
        "mass": 1,
        "nodule": 3,
    }
    assert set(combine_verdicts(events, A, alone=True)) == {"mass"}
    third = combine_verdicts(events, "c" * 16, alone=False)
    assert {n: v.event.number for n, v in third.items()} == {"mass": 2, "nodule": 3}
