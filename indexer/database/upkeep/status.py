"""What a database holds, counted, and what it was made with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from indexer.database.layout import Manifest
from indexer.database.ledger.files import FileStatus
from indexer.database.ledger.runs import Run
from indexer.database.reader import DatabaseReader
from indexer.database.vectors.generation import Generation, current_generation

__all__ = ["DatabaseStatus"]


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """Counts of one moment.

    Parameters
    ----------
    files
        By their end.
    reasons
        Skipped and failed files by reason.
    images, studies, patients
        How many are indexed.
    archives
        Files by archive; the paths may hold patient data.
    waiting
        Documents that the text store has not taken yet.
    manifest
        What the database was made with.
    last_run
        The newest run; None before the first.
    generation
        The FAISS index; None where there is none.
    fresh, dead
        Images that it lacks, and entries in it whose image is gone.
    """

    files: dict[FileStatus, int]
    reasons: dict[FileStatus, dict[str, int]]
    images: int
    studies: int
    patients: int
    archives: dict[str, int]
    waiting: int
    manifest: Manifest
    last_run: Run | None
    generation: Generation | None
    fresh: int
    dead: int

    @classmethod
    def of(cls, database: DatabaseReader) -> DatabaseStatus:
        """The status of a database at the moment it was opened."""
        ledger, images = database.ledger, len(database)
        generation = current_generation(database.layout.vectors)
        fresh, dead = generation.differs(ledger.shards.all()) if generation else (images, 0)
        return cls(
            files=database.counts(),
            reasons=database.reasons(),
            images=images,
            studies=ledger.images.studies,
            patients=ledger.images.patients,
            archives=ledger.files.by_archive(),
            waiting=ledger.outbox.count,
            manifest=database.manifest,
            last_run=database.last_run(),
            generation=generation,
            fresh=fresh,
            dead=dead,
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON object, as docs/output.md describes it."""
        generation = self.generation
        return {
            "images": self.files,
            "reasons": self.reasons,
            "indexed": self.images,
            "studies": self.studies,
            "patients": self.patients,
            "archives": self.archives,
            "waiting_documents": self.waiting,
            "vectors": {**generation.to_json(), "fresh": self.fresh, "dead": self.dead}
            if generation
            else None,
            "manifest": asdict(self.manifest),
            "last_run": asdict(self.last_run) if self.last_run else None,
        }
