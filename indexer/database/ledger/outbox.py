"""What the text store and the thumbnails have not confirmed yet."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from typing import Literal, NamedTuple, TypeAlias

from indexer.database.ledger.table import PAGE, LedgerTable

__all__ = ["Operation", "OutboxChange", "PendingChanges"]

Operation: TypeAlias = Literal["upsert", "hide", "delete"]


# So many documents that wait are kept in memory, some 5 kB each; others are made again.
_KEPT = 8_000


class OutboxChange(NamedTuple):
    """A change of an image: its document as JSON, or that its picture or all of it is to go.

    Of an ``"upsert"`` without a document, the ledger says what it is.
    """

    number: int
    image_id: str
    operation: Operation
    document: str | None


class PendingChanges(LedgerTable):
    """The table `outbox`, and whether the text store is to be filled anew.

    It holds no documents, which would be written twice and wiped once: they follow from the images,
    and this process remembers the newest ones. Those of an earlier version stand in it.
    """

    def __init__(self, connection: sqlite3.Connection, lock: threading.RLock) -> None:
        super().__init__(connection, lock)
        #: Documents by number of the change, ascending.
        self._documents: dict[int, str] = {}

    def oldest(self, limit: int = PAGE) -> list[OutboxChange]:
        """The changes that have waited longest, in order."""
        rows = self._all(
            "SELECT seq, image_id, op, document FROM outbox ORDER BY seq LIMIT ?", limit
        )
        return [
            OutboxChange(number, image_id, operation, document or self._documents.get(number))
            for number, image_id, operation, document in rows
        ]

    @property
    def count(self) -> int:
        """How many documents wait."""
        waiting = int(self._value("SELECT count(*) FROM outbox"))
        if self.refill:
            waiting += int(self._value("SELECT coalesce(sum(live), 0) FROM shards"))
        return waiting

    def images(self) -> set[str]:
        """Ids of the images with a change that waits."""
        return {image_id for (image_id,) in self._all("SELECT DISTINCT image_id FROM outbox")}

    @property
    def is_empty(self) -> bool:
        """Whether the text store has confirmed everything."""
        return self._one("SELECT 1 FROM outbox LIMIT 1") is None and not self.refill

    @property
    def refill(self) -> bool:
        """Whether the text store is to be filled anew with all documents."""
        return self._one("SELECT 1 FROM meta WHERE key = 'refill'") is not None

    @property
    def all_wait(self) -> bool:
        """Whether every image's document waits, so that the text store was sent none before."""
        sent = "SELECT 1 FROM images WHERE image_id NOT IN (SELECT image_id FROM outbox) LIMIT 1"
        return self._one(sent) is None

    def add(self, image_id: str, operation: Operation, document: str | None = None) -> None:
        """Let a change wait."""
        with self._lock:
            number = self._connection.execute(
                "INSERT INTO outbox (image_id, op, document) VALUES (?, ?, ?)",
                (image_id, operation, "" if operation == "upsert" else None),
            ).lastrowid
            # Numbers of a transaction that was undone are given again.
            self._documents.pop(number or 0, None)
            if number and document and len(self._documents) < _KEPT:
                self._documents[number] = document

    def confirm(self, number: int) -> None:
        """Forget the changes up to a number."""
        self._change("DELETE FROM outbox WHERE seq <= ?", number)
        with self._lock:
            for known in [*itertools.takewhile(lambda one: one <= number, self._documents)]:
                del self._documents[known]

    def drop_documents(self) -> None:
        """Forget the documents that wait; all are going to be sent."""
        self._change("DELETE FROM outbox WHERE op = 'upsert'")
        self._documents.clear()

    def mark_refill(self) -> None:
        """Have the text store filled anew when the outbox is drained next."""
        self._change("INSERT OR REPLACE INTO meta VALUES ('refill', 1)")

    def refilled(self) -> None:
        """The text store holds all documents."""
        self._change("DELETE FROM meta WHERE key = 'refill'")

    @property
    def must_rewrite(self) -> bool:
        """Whether an earlier version made the documents, which say less than they do now."""
        return self._one("SELECT 1 FROM meta WHERE key = 'rewrite'") is not None

    def rewritten(self) -> None:
        """All documents are as this version makes them."""
        self._change("DELETE FROM meta WHERE key = 'rewrite'")
