"""What is chosen for one run: which files it reads and drops, and how they are read."""

from __future__ import annotations

from dataclasses import dataclass, field

from indexer.archive.decoding import ThumbnailChoice
from indexer.archive.limits import Limits

__all__ = ["FileProcessing", "FileSelection"]


@dataclass(frozen=True, slots=True)
class FileSelection:
    """Which files of the archives are read, beside new and changed ones, and which are dropped.

    Parameters
    ----------
    retry_failed
        Read again what failed before.
    checksum
        Compare the content of all files instead of trusting size and time.
    reread
        Read everything again; a database that was made with another bundle is brought to this one.
    prune
        Drop what the archives have no more.
    prune_limit
        Share of an archive's files that may be gone, 0..1, but never all; None allows that, too.
    limit
        Read at most so many files.
    """

    retry_failed: bool = False
    checksum: bool = False
    reread: bool = False
    prune: bool = False
    prune_limit: float | None = 0.1
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class FileProcessing:
    """How and where files are read.

    Parameters
    ----------
    workers
        Processes that decode; None for one per core.
    on
        A cluster where files are read, as `indexer.pipeline.remote.cluster.connect` has it; each
        chunk of files then takes so many `workers`. None for this machine.
    batch_size
        Images read by the model at once.
    limits
        What one file may cost.
    thumbnails
        Which images get a thumbnail; see `indexer.archive.decoding.DecodeSettings`.
    """

    workers: int | None = None
    on: str | None = None
    batch_size: int = 32
    limits: Limits = field(default_factory=Limits)
    thumbnails: ThumbnailChoice = "unmarked"
