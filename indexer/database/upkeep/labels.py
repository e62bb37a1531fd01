"""What people said since the last writer, brought into the documents in a moment of its own."""

from __future__ import annotations

from pathlib import Path

from indexer.database.reader import DatabaseReader
from indexer.database.writer import Writer

__all__ = ["apply_pending_labels"]


def apply_pending_labels(path: Path) -> int:
    """Bring all of them in, and let searches see it; gives how many events that were.

    Raises
    ------
    DatabaseLocked
        A run writes the database; it brings them in with its next commit.
    TextStoreUnavailable
        Elasticsearch does not answer; the documents wait for it.
    """
    with DatabaseReader.open(path) as database:
        file = database.labels()
        count = 0 if file is None else len(file.labels.since(database.ledger.labels.newest))
        # An update that was interrupted may have left documents for the text store.
        is_done = not count and database.ledger.outbox.is_empty
    if not is_done:
        with Writer.maintain(path, brief=True) as writer:
            writer.outbox.sync()
    return count
