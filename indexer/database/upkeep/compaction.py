"""Giving back the space of what was dropped, and leaving no byte of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.database.writer import Writer

__all__ = ["Compacted", "compact"]


@dataclass(frozen=True, slots=True)
class Compacted:
    """What was given back.

    Parameters
    ----------
    shards
        How many were written anew.
    dropped
        Dead rows that these had.
    freed_bytes
        By how much shards and FAISS index shrank.
    held
        Files that an open search still holds older bytes of.
    """

    shards: int
    dropped: int
    freed_bytes: int
    held: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON object, as docs/output.md describes it."""
        return {"shards": self.shards, "dropped": self.dropped, "freed_bytes": self.freed_bytes}


def compact(writer: Writer) -> Compacted:
    """Compact all that a database has, as `Writer.wipe` leaves it.

    Raises
    ------
    TextStoreUnavailable
        Elasticsearch does not answer; all else is done.
    """
    folders = (writer.layout.embeddings, writer.layout.vectors)
    before = _size(*folders)
    done = writer.compact(everything=True)
    held = writer.wipe()
    return Compacted(done.shards, done.dropped, before - _size(*folders), tuple(held))


def _size(*folders: Path) -> int:
    files = (path for folder in folders for path in folder.rglob("*"))
    return sum(path.stat().st_size for path in files if path.is_file())
