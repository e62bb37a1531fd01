"""Images whose header, report or study changed, and the documents that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from indexer.database.ledger.images import ImageRow
from indexer.database.outcomes import Header
from indexer.database.studies import document_from_row, pooled_document, report_from_row
from indexer.database.text.documents import canonical, text_hash
from indexer.database.writing.stores import Stores

if TYPE_CHECKING:
    from indexer.archive.reports import Report

__all__ = ["FindReport", "hide", "publish", "rewrite", "with_documents"]

#: Gives the report filed under one of some keys.
FindReport: TypeAlias = "Callable[[Sequence[str]], Report | None]"


def rewrite(
    stores: Stores,
    row: ImageRow,
    header: Header,
    find_report: FindReport | None,
    *,
    keep_report: bool = True,
) -> set[str]:
    """Give an image another header or report, in a transaction; gives the studies to `publish`.

    Where no report is found, an image keeps the one of its study, if `keep_report` says so.
    """
    report = find_report(header.report_keys) if find_report else None
    if report is None and keep_report and row.study == header.study:
        report = report_from_row(row)
    stores.ledger.images.set_header(row.number, header, report)
    return {row.study, header.study}


def with_documents(stores: Stores, new: Iterable[ImageRow]) -> dict[str, tuple[ImageRow, str]]:
    """New images by id, each with its document, which the row has the hash of.

    Where more than these is known of their study, the document is empty, and the study is to be
    published.
    """
    studies: dict[str, list[ImageRow]] = {}
    for row in new:
        studies.setdefault(row.study, []).append(row)
    known = stores.ledger.images.known_studies([*studies])
    images = {row.image_id: study for study, rows in studies.items() for row in rows}
    known |= {images[event.image] for event in stores.ledger.labels.of([*images])}
    found: dict[str, tuple[ImageRow, str]] = {}
    for study, rows in studies.items():
        pooled = None if study in known else pooled_document(rows, stores.manifest)
        for row in rows:
            if study in known:
                found[row.image_id] = row, ""
                continue
            whole = replace(row, pooled=pooled)
            text = canonical(document_from_row(whole))
            found[row.image_id] = replace(whole, document_hash=text_hash(text)), text
    return found


def publish(stores: Stores, studies: Iterable[str], always: Container[str] = ()) -> None:
    """Pool the readings of studies, and send the documents that differ from what was sent.

    Parameters
    ----------
    always
        Images among them whose documents are sent in any case.
    """
    ledger = stores.ledger
    for study in sorted(studies):
        rows = ledger.images.of_study(study)
        pooled = pooled_document(rows, stores.manifest)
        for row in rows:
            text = canonical(document_from_row(replace(row, pooled=pooled)))
            digest = text_hash(text)
            if pooled != row.pooled or digest != row.document_hash:
                ledger.images.set_document(row.number, pooled, digest)
            if digest != row.document_hash or row.image_id in always:
                ledger.outbox.add(row.image_id, "upsert", text)


def hide(stores: Stores, image_id: str) -> None:
    """Take the picture of an image away, in a transaction."""
    stores.ledger.images.set_picture([image_id], there=False)
    stores.ledger.outbox.add(image_id, "hide")
