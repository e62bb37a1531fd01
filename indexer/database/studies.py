"""What the images of a study say together, and the documents that this makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from indexer.cascade.pooling import pool_readings
from indexer.database.text.documents import Document, build_document

if TYPE_CHECKING:
    from indexer.archive.reports import Report
    from indexer.database.ledger.images import ImageRow
    from indexer.database.ledger.ledger import Ledger

__all__ = ["document_of", "pooled_of", "report_of", "stale_studies"]


def report_of(row: ImageRow) -> Report | None:
    """The report of an image in the ledger."""
    if row.report is None:
        return None
    from indexer.archive.reports import Report

    return Report.from_json(row.report)


def document_of(row: ImageRow) -> Document:
    """The document of an image in the ledger, with its study's reading where that is pooled."""
    reading = row.reading | (row.pooled or {})
    metadata = row.header.metadata
    return build_document(row.image_id, row.study, row.patient, metadata, reading, report_of(row))


def pooled_of(
    rows: Sequence[ImageRow], thresholds: Mapping[str, float] | None
) -> dict[str, Any] | None:
    """What the images of a study say together; None of a single one, or without `thresholds`."""
    if thresholds is None or len(rows) < 2:
        return None
    return pool_readings([row.reading for row in rows], thresholds)


def stale_studies(ledger: Ledger, thresholds: Mapping[str, float] | None) -> Iterator[str]:
    """Studies whose pooled reading is not what their images say."""
    for study in ledger.images.studies_of_several():
        rows = ledger.images.of_study(study)
        pooled = pooled_of(rows, thresholds)
        if any(row.pooled != pooled for row in rows):
            yield study
