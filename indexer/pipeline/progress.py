"""How far a run is, how fast it goes, and what it did in the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, NamedTuple

from indexer.pipeline.reports import ReportCount
from indexer.pipeline.stages.meters import StagesUse

__all__ = ["Clock", "EndCounts", "Progress", "Summary", "end_counts"]

_PROGRESS_SECONDS = 0.2
_RATE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Parameters
    ----------
    stage
        What it does now; the counts grow while it reads.
    total
        Files found in the archives.
    done, duplicate, skipped, failed
        Files read in this run, by their end.
    unchanged
        Files that need not be read, or whose content is what it was.
    images_per_second
        Files read per second, over about the last half minute.
    seconds_left
        Estimate for the rest of the reading; None while unknown.
    """

    stage: Literal["listing", "reading", "finishing"]
    total: int
    done: int = 0
    duplicate: int = 0
    skipped: int = 0
    failed: int = 0
    unchanged: int = 0
    images_per_second: float = 0.0
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did.

    Parameters
    ----------
    total
        Files found in the archives: the sum of the six counts that follow.
    done, duplicate, skipped, failed
        Files read in this run, by their end.
    unchanged
        Files that did not need to be read.
    left
        Files not read yet, because the run was interrupted or limited.
    reasons
        Under ``"skipped"`` and ``"failed"``, the files of this run by reason, commonest first.
    removed
        Files the archives had once and have no more.
    pruned
        How many of those were dropped from the database.
    reports_changed
        Images of earlier runs that got a new or changed report.
    notes
        Notes on the images of this run (`indexer.archive.notes`), commonest first.
    reports
        What became of the files of the report folders; None where there are none.
    labels_unmatched
        Images that the tables of data sets say something of, and that no file read was.
    seconds
        Time it took.
    images_per_second
        Files read per second while reading.
    stages
        How the stages spent that time; None where nothing was read.
    waiting
        Documents that the text store has not taken yet, as it does not answer.
    interrupted
        Whether it was stopped by Ctrl-C; what had been read is in the database.
    """

    total: int = 0
    done: int = 0
    duplicate: int = 0
    skipped: int = 0
    failed: int = 0
    unchanged: int = 0
    left: int = 0
    reasons: dict[str, dict[str, int]] = field(default_factory=dict)
    removed: int = 0
    pruned: int = 0
    reports_changed: int = 0
    notes: dict[str, int] = field(default_factory=dict)
    reports: ReportCount | None = None
    labels_unmatched: int = 0
    seconds: float = 0.0
    images_per_second: float = 0.0
    stages: StagesUse | None = None
    waiting: int = 0
    interrupted: bool = False

    def counts(self) -> dict[str, int]:
        """The numbers of files and documents by their names, as the ledger keeps them of a run."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.type == "int"}

    def finishing(self) -> Progress:
        """The progress of a run that has read all that it reads."""
        ends = (self.done, self.duplicate, self.skipped, self.failed, self.unchanged)
        return Progress("finishing", self.total, *ends)

    def to_json(self) -> dict[str, Any]:
        """A JSON object, without the names of report files."""
        stages = None if self.stages is None else self.stages.to_json()
        reports = None if self.reports is None else self.reports.to_json()
        return {**asdict(self), "stages": stages, "reports": reports}


class Clock:
    """Counts files and estimates their rate.

    Parameters
    ----------
    expected
        Files to come.
    """

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._begun = self._mark = self._shown = time.monotonic()
        self._marked = 0
        self._rate: float | None = None
        self.count = 0

    def tick(self) -> bool:
        """Count a file; tells whether it is time to show something."""
        self.count += 1
        now = time.monotonic()
        due = now - self._shown >= _PROGRESS_SECONDS or self.count == self._expected
        if due:
            self._shown = now
            share = min(1.0, (now - self._mark) / _RATE_SECONDS)
            rate = (self.count - self._marked) / max(now - self._mark, 1e-9)
            old = rate if self._rate is None else self._rate
            self._rate = old + (rate - old) * max(share, 1 / max(self.count, 1))
            self._mark, self._marked = now, self.count
        return due

    @property
    def mean(self) -> float:
        """Files per second from the first one on."""
        return self.count / max(time.monotonic() - self._begun, 1e-9)

    @property
    def rate(self) -> float:
        """Files per second of late."""
        return round(self._rate or 0.0, 2)

    @property
    def left(self) -> float | None:
        """Seconds for the rest."""
        return round((self._expected - self.count) / self._rate, 1) if self._rate else None


class EndCounts(NamedTuple):
    """How many files ended in each way, in the order of `Progress` and `Summary`."""

    done: int
    duplicate: int
    skipped: int
    failed: int
    unchanged: int


def end_counts(counts: Mapping[str, int], unchanged: int) -> EndCounts:
    """The ends of the files read so far, and of those that need not be read."""
    found = EndCounts(*(counts.get(name, 0) for name in EndCounts._fields))
    return found._replace(unchanged=found.unchanged + unchanged)
