"""What the images of a study and people say together, and the documents that this makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from indexer.cascade.interpretation.certainty import is_unusual
from indexer.cascade.interpretation.pooling import pool_readings
from indexer.database.labels.events import combine_verdicts
from indexer.database.labels.verdict_documents import apply_verdicts
from indexer.database.text.documents import Document, build_document

if TYPE_CHECKING:
    from indexer.archive.reports import Report
    from indexer.database.layout import Manifest
    from indexer.database.ledger.images import ImageRow
    from indexer.database.ledger.ledger import Ledger

__all__ = ["document_from_row", "pooled_document", "report_from_row", "stale_studies"]


def report_from_row(row: ImageRow) -> Report | None:
    """The report of an image in the ledger."""
    if row.report is None:
        return None
    from indexer.archive.reports import Report

    return Report.from_json(row.report)


def document_from_row(row: ImageRow) -> Document:
    """The document of an image in the ledger, with its study's reading where that is pooled, and
    with what people say of it."""
    # An unusual picture shows nothing, whatever the films of its study show.
    pooled = None if is_unusual(row.reading) else row.pooled
    reading = row.reading | (pooled or {})
    metadata = row.header.metadata
    document = build_document(
        row.image_id, row.study, row.patient, metadata, reading, report_from_row(row)
    )
    if not row.label_events:
        return document
    return apply_verdicts(
        document, combine_verdicts(row.label_events, row.image_id, alone=pooled is None)
    )


def pooled_document(rows: Sequence[ImageRow], manifest: Manifest) -> dict[str, Any] | None:
    """What the images of a study say together; None of a single one, or where none are pooled."""
    if manifest.thresholds is None or len(rows) < 2:
        return None
    return pool_readings([row.reading for row in rows], manifest.thresholds, manifest.likely)


def stale_studies(ledger: Ledger, manifest: Manifest) -> Iterator[str]:
    """Studies whose pooled reading is not what their images say."""
    for study in ledger.images.studies_of_several():
        rows = ledger.images.of_study(study)
        pooled = pooled_document(rows, manifest)
        if any(row.pooled != pooled for row in rows):
            yield study
