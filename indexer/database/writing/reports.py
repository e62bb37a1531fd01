"""New and changed reports for images of earlier runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

from indexer.database.ledger.images import ImageRow
from indexer.database.studies import document_from_row, stale_studies
from indexer.database.text.documents import canonical, document_hash
from indexer.database.writing.documents import FindReport, publish, rewrite
from indexer.database.writing.stores import Stores

__all__ = ["send_wrong_documents", "update_reports"]

_PAGE = 1000


def update_reports(
    stores: Stores,
    find_report: FindReport,
    states: Mapping[str, str],
    all_readable: Callable[[], bool],
    sent: Callable[[], None],
) -> int:
    """Attach new and changed reports, and take withdrawn ones away; see `Writer.update_reports`."""
    changed = _attach_reports(stores, find_report, sent)
    if all_readable():
        changed += _withdraw_reports(stores, find_report, states, sent)
    with stores.ledger.transaction():
        stores.ledger.runs.set_report_states(states)
    return changed


def _attach_reports(stores: Stores, find_report: FindReport, sent: Callable[[], None]) -> int:
    """Attach new and changed reports to images of earlier runs; gives how many images changed."""

    def changed() -> Iterator[ImageRow]:
        for row in stores.ledger.images:
            if row.run == stores.run:
                continue
            report = find_report(row.report_keys)
            if report is not None and canonical(report.to_json()) != canonical(row.report):
                yield row

    return _rewrite_all(stores, changed(), find_report, sent)


def _withdraw_reports(
    stores: Stores, find_report: FindReport, states: Mapping[str, str], sent: Callable[[], None]
) -> int:
    """Take reports away that are in no folder any more; gives how many images lost theirs.

    Nothing is taken away unless all folders that reports came from are among `states`.
    """
    if not stores.ledger.runs.report_folders() <= states.keys():
        return 0
    gone = (
        row
        for row in stores.ledger.images
        if row.report is not None and find_report(row.report_keys) is None
    )
    return _rewrite_all(stores, gone, find_report, sent, keep_report=False)


def send_wrong_documents(stores: Stores, sent: Callable[[], None]) -> int:
    """Send the documents again that are not what their hash, or their study, says."""
    wrong = (
        row
        for row in stores.ledger.images
        if document_hash(document_from_row(row)) != row.document_hash
    )
    count = _rewrite_all(stores, wrong, None, sent)
    stale = list(stale_studies(stores.ledger, stores.manifest))
    with stores.ledger.transaction():
        publish(stores, stale)
    sent()
    return count + len(stale)


def _rewrite_all(
    stores: Stores,
    rows: Iterable[ImageRow],
    find_report: FindReport | None,
    sent: Callable[[], None],
    *,
    keep_report: bool = True,
) -> int:
    count, left = 0, iter(rows)
    while batch := list(islice(left, _PAGE)):
        with stores.ledger.transaction():
            studies: set[str] = set()
            for row in batch:
                studies |= rewrite(stores, row, row.header, find_report, keep_report=keep_report)
            publish(stores, studies)
        sent()
        count += len(batch)
    return count
