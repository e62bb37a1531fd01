"""Bulk requests: their lines and sizes, what of one is to be sent again, and how long to try."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.database.text.documents import Document
from indexer.database.text.elasticsearch.answers import PASSING, REFILL, IndexBlocked, error_type
from indexer.database.text.elasticsearch.schema import source_fields
from indexer.database.text.elasticsearch.vectors import vector_json
from indexer.errors import DatabaseError, TextStoreUnavailable

__all__ = ["Backoff", "BulkAction", "bulk_actions", "chunks", "index_action", "undone"]

# A request holds at most this many documents and bytes; the server's own limit is 100 MB.
_CHUNK_DOCUMENTS = 500
_CHUNK_BYTES = 4 << 20
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
# Matched at the start of the message only: a value that the server quotes later may look the same.
_FIELD = re.compile(
    r"(?:\[\d+:\d+\] )?(?:failed to parse field|mapping set to strict, dynamic introduction of)"
    r" \[([\w .-]+)\]"
)


@dataclass(frozen=True, slots=True)
class BulkAction:
    """One line of a bulk request, with the document's line where it has one."""

    image_id: str
    lines: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(map(len, self.lines))


class Backoff:
    """Waits longer and longer between tries, and gives up in the end."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._pause = _FIRST_PAUSE

    def wait(self, error: TextStoreUnavailable) -> None:
        """Sleep before the next try; raises `error` where there is none."""
        # Jitter, so that several writers do not come back at once.
        pause = random.uniform(self._pause / 2, self._pause)
        if time.monotonic() + pause > self._deadline or isinstance(error, IndexBlocked):
            raise error
        time.sleep(pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)


def undone(actions: Sequence[BulkAction], items: Sequence[dict[str, Any]]) -> list[BulkAction]:
    """The actions that are to be sent again; raises for one that the server will never take."""
    left = []
    for action, item in zip(actions, items, strict=True):
        ((operation, result),) = item.items()
        status, error = int(result["status"]), result.get("error", {})
        if status < 300 or (operation == "delete" and status == 404 and not error):
            continue
        kind = error_type(error)
        if kind == "cluster_block_exception":
            raise IndexBlocked
        if kind == "index_not_found_exception":
            raise DatabaseError(f"there is no such Elasticsearch index; {REFILL}")
        if status in PASSING:
            left.append(action)
            continue
        # The server's reason quotes values; only the field's name is taken from it.
        reasons = (str(e.get("reason")) for e in (error, error.get("caused_by") or {}))
        named = next(filter(None, map(_FIELD.match, reasons)), None)
        field = f", in the field {named[1]}" if named else ""
        raise DatabaseError(
            f"Elasticsearch refuses the document of image {action.image_id}{field}: {kind}"
        )
    return left


def index_action(document: Document, vector: npt.NDArray[np.float32] | None = None) -> BulkAction:
    """The action that writes a document, with the vector of its image where there is one."""
    head, source = _line({"index": {"_id": document["id"]}}), _line(source_fields(document))
    if vector is not None:
        source = source[:-1] + b"," + vector_json(vector) + b"}"
    return BulkAction(document["id"], (head, source))


def _line(value: Any) -> bytes:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "replace")


def bulk_actions(upserts: Iterable[BulkAction], deletes: Iterable[str]) -> Iterator[BulkAction]:
    """Deletes, then upserts."""
    for image_id in deletes:
        yield BulkAction(image_id, (_line({"delete": {"_id": image_id}}),))
    yield from upserts


def chunks(actions: Iterable[BulkAction]) -> Iterator[list[BulkAction]]:
    """Actions by the request."""
    chunk: list[BulkAction] = []
    size = 0
    for action in actions:
        if chunk and (len(chunk) == _CHUNK_DOCUMENTS or size + action.size > _CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(action)
        size += action.size
    if chunk:
        yield chunk
