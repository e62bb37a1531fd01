"""What the ledger has committed on its way to the text store and the thumbnails."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Protocol

import orjson

from indexer import advice
from indexer.database.durable import writing
from indexer.database.ledger.outbox import OutboxChange
from indexer.database.studies import document_from_row
from indexer.database.text.documents import Document, canonical, document_hash
from indexer.database.writing.stores import Stores
from indexer.errors import DatabaseError, TextStoreUnavailable

__all__ = ["Outbox", "TextWriter"]

_log = logging.getLogger(__name__)

_PAGE = 1000
# Changes that are sent at once: as many as the largest commit makes, as each time takes a wait for
# the disk.
_SENT = 4000
# Pauses between tries of a text store that does not answer.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 30.0, 600.0


class TextWriter(Protocol):
    """What writes an embedded text store in the place of the process that commits."""

    def write(self, texts: Sequence[str], deletes: Sequence[str]) -> None:
        """As `TextStore.apply`, of documents in their JSON form."""

    def close(self) -> None:
        """Let go of the store; nothing may be called afterwards."""


class Outbox:
    """Changes wait here, in the transaction that made them, until the text store has confirmed
    them (a transactional outbox). Threads may share it: one brings the stores up at a time, while
    others commit.

    Parameters
    ----------
    stores
        The ledger that has them, and what they are meant for.
    """

    def __init__(self, stores: Stores) -> None:
        self._layout = stores.layout
        self._ledger = stores.ledger
        self._thumbnails = stores.thumbnails
        self._text = stores.text
        self._lock = threading.RLock()
        self._other: TextWriter | None = None
        # After a text store has not answered: the pause until the next try, and when it ends.
        self._pause = 0.0
        self._try_again = 0.0

    def drain(self) -> None:
        """Bring the text store and the thumbnails up to what the ledger has committed.

        Where a server does not answer, the documents wait, and only now and then is it tried again.
        """
        with self._lock:
            if time.monotonic() < self._try_again:
                return
            try:
                self._drain()
            except TextStoreUnavailable as error:
                if not self._pause:
                    _log.warning("%s; indexing goes on, and documents wait for it", error)
                self._pause = min(max(2 * self._pause, _SHORTEST_PAUSE), _LONGEST_PAUSE)
                self._try_again = time.monotonic() + self._pause
            else:
                self._pause = 0.0

    @contextmanager
    def through(self, writer: TextWriter) -> Iterator[None]:
        """Within, `writer` writes the embedded text store; it is closed in the end."""
        with self._lock:
            # A store has one writer at a time.
            self._text.close()
            self._other = writer
        try:
            yield
        finally:
            with self._lock:
                self._other = None
                writer.close()

    def finish(self) -> int:
        """Drain at the end of a run, whenever that was last tried; gives how much still waits."""
        with self._lock:
            self._try_again = 0.0
            self.drain()
            return self._ledger.outbox.count

    def sync(self) -> int:
        """Send all that waits for the text store; gives how many changes that were.

        Raises
        ------
        TextStoreUnavailable
            It does not answer; what it has not confirmed goes on waiting.
        """
        waiting = self._ledger.outbox.count
        self._drain()
        self._text.finish()
        return waiting

    def migrate(self) -> int:
        """Fill a new index of the present mapping from the ledger; gives how many documents.

        Raises
        ------
        TextStoreUnavailable
            Elasticsearch does not answer; the old index stands.
        DatabaseError
            The text store is not Elasticsearch, which alone needs it.
        """
        from indexer.database.text.elasticsearch.store import ElasticsearchTextStore

        if not isinstance(self._text, ElasticsearchTextStore):
            raise DatabaseError(
                f"{self._layout.root} has an embedded text store, which needs no migration: "
                f"{advice.INDEX} brings it up to date"
            )
        count = self._text.migrate(
            document for page in self._current_documents() for document in page
        )
        with self._ledger.transaction():
            # The new index has all of these documents in their present form.
            self._ledger.outbox.drop_documents()
            self._ledger.outbox.refilled()
        self.sync()
        return count

    def refill(self) -> None:
        """Fill the text store anew from the ledger; goes on when next drained if killed."""
        with writing(self._layout.root):
            self._mark_refill()
            self.drain()

    def wipe(self) -> None:
        """Send all that waits, and leave no byte in the text store of what it has no more.

        Raises
        ------
        TextStoreUnavailable
            It does not answer.
        """
        self._drain()
        with writing(self._layout.root):
            self._text.wipe(document for page in self._current_documents() for document in page)
            self._text.finish()

    def _drain(self) -> None:
        with self._lock, writing(self._layout.root):
            self._text.prepare(self._refill_unless_waiting)
            if self._ledger.outbox.refill:
                self._fill()
            while batch := self._ledger.outbox.oldest(_SENT):
                # Only the last change of an image is sent. A thumbnail that was once hidden stays
                # hidden.
                last = {change.image_id: change for change in batch if change.operation != "hide"}
                hidden = [change.image_id for change in batch if change.operation == "hide"]
                deletes = [name for name, one in last.items() if one.operation == "delete"]
                texts = [*self._texts(last.values())]
                if self._other is not None:
                    self._other.write(texts, deletes)
                else:
                    self._text.apply(map(orjson.loads, texts), deletes)
                if hidden or deletes:
                    self._thumbnails.drop([*hidden, *deletes])
                # Of a confirmation that a power cut loses, the same is sent again.
                with self._ledger.transaction(durable=False):
                    self._ledger.outbox.confirm(batch[-1].number)

    def _texts(self, changes: Iterable[OutboxChange]) -> Iterator[str]:
        """The documents among some changes; those that are not remembered are made again."""
        for change in changes:
            if change.operation == "upsert":
                text = change.document
                if not text and (row := self._ledger.images.get(change.image_id)):
                    text = canonical(document_from_row(row))
                # An image that has gone since is dropped by a change that follows.
                if text:
                    yield text

    def _fill(self) -> None:
        with self._ledger.transaction():
            # Waiting documents may have an older form, so they are dropped; all are written anew
            # below.
            self._ledger.outbox.drop_documents()
        self._text.clear()
        for documents in self._current_documents():
            self._text.apply(documents, [])
        with self._ledger.transaction():
            self._ledger.outbox.refilled()

    def _current_documents(self) -> Iterator[list[Document]]:
        """All documents as this version makes them, page by page; their hashes follow."""
        rows = iter(self._ledger.images)
        while page := list(islice(rows, _PAGE)):
            documents = [document_from_row(row) for row in page]
            yield documents
            digests = [document_hash(document) for document in documents]
            changed = [
                (digest, row.number)
                for digest, row in zip(digests, page, strict=True)
                if digest != row.document_hash
            ]
            with self._ledger.transaction():
                self._ledger.images.set_hashes(changed)

    def _refill_unless_waiting(self) -> None:
        """A new text store lacks every document that has been sent before."""
        if not self._ledger.outbox.all_wait:
            self._mark_refill()

    def _mark_refill(self) -> None:
        with self._ledger.transaction():
            self._ledger.outbox.mark_refill()
