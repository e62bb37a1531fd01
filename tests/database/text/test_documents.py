from __future__ import annotations

from indexer.annotation import Annotation
from indexer.archive.deidentify import Metadata
from indexer.archive.reports import Report
from indexer.database.text.documents import Document, build_document, document_hash

READING = {
    "annotations": [Annotation.from_words("predicted", "opacity", ["left"]).to_json()],
    "probabilities": {"opacity": 0.75, "nodule": 0.125},
    "view": "frontal",
    "view_confidence": 0.9,
}


def _document(**sections: str) -> Document:
    human = (Annotation.from_words("human", "nodule", []),)
    report = Report("uid", sections, human) if sections else None
    return build_document("0" * 16, "5" * 12, "7" * 12, Metadata(), READING, report)


def test_a_report_affirms_denies_and_doubts() -> None:
    document = _document(
        indication="Pneumothorax?",
        findings="Small left pleural effusion. No pneumothorax. No scoliosis.",
        impression="Possible nodule. Cannot exclude effusion. Mild scoliosis.",
    )
    told = [(a["origin"], a["text"]) for a in document["annotations"]]
    assert told == [
        ("predicted", "opacity, left"),
        ("human", "nodule"),
        ("report", "pleural effusion, left, small"),
        ("report", "scoliosis, mild"),
    ]
    # What the report affirms elsewhere it neither denies nor doubts.
    assert [a["disease"] for a in document["absent"]] == ["pneumothorax"]
    assert [a["disease"] for a in document["uncertain"]] == ["nodule"]
    assert document["probabilities"] == READING["probabilities"]


def test_statements_are_the_report_without_what_it_denies() -> None:
    document = _document(
        comparison="No effusion before.",
        findings="Opacity, no effusion.\nNo PNEUMOTHORAX or nodules; scar.",
        impression="Possible nodule.",
    )
    assert document["report"] is not None
    assert document["statements"] == {
        "findings": "Opacity, no         .\nNo                        ; scar.",
        "impression": "Possible       .",
    }
    for section, text in document["statements"].items():
        written = document["report"][section]
        assert len(text) == len(written)
        assert all(c in (" ", w) for c, w in zip(text, written, strict=True))


def test_without_a_report_nothing_is_denied() -> None:
    document = _document()
    assert (document["absent"], document["uncertain"], document["statements"]) == ([], [], {})
    assert document["report"] is None


def test_the_hash_of_a_document() -> None:
    first, second = _document(findings="No effusion."), _document(findings="Effusion.")
    assert document_hash(first) == document_hash(_document(findings="No effusion."))
    assert document_hash(first) != document_hash(second)


def test_errors_of_the_text_store_quote_no_report() -> None:
    from pathlib import Path

    from indexer.database.text.tantivy.store import _error

    quoted = "Could not decode field `report` with text 'Secret Person has an effusion'"
    for error in (ValueError(quoted), ValueError("Secret: \nPerson"), OSError(13, "denied", "/x")):
        message = str(_error(Path("/nowhere"), error, writing=True))
        assert "Secret Person" not in message
        assert "/nowhere" in message
