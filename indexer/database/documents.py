"""The searchable document of one image: what a text store holds and a hit shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from indexer.archive.deidentify import Metadata
    from indexer.archive.reports import Report

__all__ = ["Document", "build_document", "canonical", "document_hash"]

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
    own code. `annotations` are of `Annotation.to_json`, predicted ones first, then human ones.
    `report` maps section names to text.
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
    annotations: list[dict[str, Any]]
    report: dict[str, str] | None


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
    view = _VIEWS.get(metadata.view or "")
    human = [a.to_json() for a in report.annotations] if report else []
    return Document(
        id=image_id,
        study=study,
        patient=patient,
        view=view or reading["view"],
        view_origin="header" if view else "predicted",
        projection=metadata.view,
        sex=metadata.sex,
        age=metadata.age,
        year=metadata.year,
        manufacturer=metadata.manufacturer,
        rows=metadata.rows,
        columns=metadata.columns,
        annotations=[*reading["annotations"], *human],
        report=dict(report.sections) if report else None,
    )


def canonical(value: Any) -> str:
    """JSON with sorted keys and no blanks: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def document_hash(document: Document) -> str:
    """16 hex digits that change with any word of the document."""
    return hashlib.sha256(canonical(document).encode("utf-8", "surrogatepass")).hexdigest()[:16]
