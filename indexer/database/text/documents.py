"""The searchable document of one image: what a text store holds and a hit shows."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import orjson

from indexer.annotation import stored_certainty

if TYPE_CHECKING:
    from indexer.archive.deidentify import Metadata
    from indexer.archive.reports import Report

__all__ = [
    "Document",
    "ReportReading",
    "build_document",
    "canonical",
    "choose_view",
    "document_hash",
    "read_report",
]

_VIEWS: dict[str, Literal["frontal", "lateral"]] = {
    "PA": "frontal",
    "AP": "frontal",
    "LL": "lateral",
    "RL": "lateral",
    "LLD": "frontal",
    "RLD": "frontal",
    "LATERAL": "lateral",
}


class Document(TypedDict):
    """One image as words; every value is JSON.

    `view` is the header's where that tells it, else the cascade's; `projection` is the header's
    own code. `annotations` are what is affirmed, of `Annotation.to_json`: predicted ones first,
    then human ones, then those read from the report. `absent` and `uncertain` are what the report
    denies and doubts, and affirms nowhere. `report` maps section names to text; `statements` does
    so for the sections that were read for findings, every denied or doubted one blanked out.
    `notes` are codes of `indexer.archive.notes`.
    `probabilities` are the cascade's, by finding. `unusual` is that of its `Reading`, from 0 to 1.
    """

    id: str
    study: str
    patient: str
    view: str
    view_origin: Literal["header", "predicted"]
    projection: str | None
    sex: str | None
    age: int | None
    year: int | None
    manufacturer: str | None
    rows: int
    columns: int
    notes: list[str]
    annotations: list[dict[str, Any]]
    absent: list[dict[str, Any]]
    uncertain: list[dict[str, Any]]
    report: dict[str, str] | None
    statements: dict[str, str]
    probabilities: dict[str, float]
    unusual: float


def build_document(
    image_id: str,
    study: str,
    patient: str,
    metadata: Metadata,
    reading: Mapping[str, Any],
    report: Report | None = None,
) -> Document:
    """The document of one image.

    Parameters
    ----------
    image_id, study, patient
        Pseudonymous ids.
    metadata
        The allow-listed header values.
    reading
        `Reading.to_json()`, or what the ledger keeps of it.
    report
        The study's report, where one is known.
    """
    predicted = [{**a, "certainty": stored_certainty(a)} for a in reading["annotations"]]
    human = [a.to_json() for a in report.annotations] if report else []
    read = read_report(report.sections) if report else _NOTHING_READ
    return Document(
        id=image_id,
        study=study,
        patient=patient,
        view=choose_view(metadata.view, reading["view"]),
        view_origin="header" if metadata.view in _VIEWS else "predicted",
        projection=metadata.view,
        sex=metadata.sex,
        age=metadata.age,
        year=metadata.year,
        manufacturer=metadata.manufacturer,
        rows=metadata.rows,
        columns=metadata.columns,
        notes=list(metadata.notes),
        annotations=[*predicted, *human, *read["annotations"]],
        absent=[*read["absent"]],
        uncertain=[*read["uncertain"]],
        report=dict(report.sections) if report else None,
        statements=dict(read["statements"]),
        probabilities=dict(reading["probabilities"]),
        unusual=reading.get("unusual", 0.0),
    )


def choose_view(projection: str | None, predicted: str) -> str:
    """``"frontal"`` or ``"lateral"``: as the header's code tells it, else as it is predicted."""
    return _VIEWS.get(projection or "", predicted)


class ReportReading(TypedDict):
    """What a report's text affirms, denies and doubts; the keys are those of `Document`."""

    annotations: list[dict[str, Any]]
    absent: list[dict[str, Any]]
    uncertain: list[dict[str, Any]]
    statements: dict[str, str]


_NOTHING_READ = ReportReading(annotations=[], absent=[], uncertain=[], statements={})


def read_report(sections: Mapping[str, str]) -> ReportReading:
    """What a report's text says; its lists and dicts are shared, so leave them as they are.

    Parameters
    ----------
    sections
        Text by section, as `indexer.archive.reports.Report` has it.
    """
    return _read(tuple(sections.items()))


# The images of a study follow each other and share its report.
@functools.lru_cache(maxsize=256)
def _read(sections: tuple[tuple[str, str], ...]) -> ReportReading:
    from indexer.words.labeller import affirmed, label, statements

    texts = dict(sections)
    mentions = label(texts)
    there = {m.annotation.disease for m in mentions if m.status == "affirmed"}

    def of_status(status: str) -> list[dict[str, Any]]:
        found = (m.annotation for m in mentions if m.status == status)
        return [a.to_json() for a in dict.fromkeys(found) if a.disease not in there]

    return ReportReading(
        annotations=[a.to_json() for a in affirmed(mentions)],
        absent=of_status("negated"),
        uncertain=of_status("uncertain"),
        statements=statements(texts),
    )


def canonical(value: Any) -> str:
    """JSON with sorted keys and no blanks: equal values give equal text."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        # Half a surrogate pair, as a broken report may hold one, is no UTF-8.
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def document_hash(document: Document) -> str:
    """16 hex digits that change with any word of the document."""
    return text_hash(canonical(document))


def text_hash(text: str) -> str:
    """`document_hash` of a document, from its text by `canonical`."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
