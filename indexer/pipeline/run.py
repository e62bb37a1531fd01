"""One run of the indexer: from archives to a database that search can ask."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal

from indexer.archive.deidentify import fingerprint, load_key
from indexer.archive.limits import Limits
from indexer.archive.sources.members import Archive, open_archive
from indexer.cascade.compute import Compute
from indexer.database.writer import Writer
from indexer.pipeline.decoding import DecodePool, FileTask, Outcome, file_reader
from indexer.pipeline.listing import Listing, archive_name
from indexer.pipeline.meters import Processor, StagesUse, StageUse
from indexer.pipeline.stages import Committer, ModelStage, Reader, Reports

if TYPE_CHECKING:
    from indexer.cascade.bundle import Bundle

__all__ = ["Progress", "Summary", "index"]

_log = logging.getLogger(__name__)

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
    report_problems
        Report files that cannot be read, one line each, with their names: for the terminal only.
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
    report_problems: tuple[str, ...] = ()
    seconds: float = 0.0
    images_per_second: float = 0.0
    stages: StagesUse | None = None
    waiting: int = 0
    interrupted: bool = False

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        stages = None if self.stages is None else self.stages.to_json()
        return {**asdict(self), "stages": stages}


def index(
    archives: Sequence[Path],
    database: Path,
    *,
    reports: Path | None = None,
    compute: Compute = Compute(),
    workers: int | None = None,
    batch_size: int = 32,
    retry_failed: bool = False,
    checksum: bool = False,
    prune: bool = False,
    reread: bool = False,
    text_store: str | None = None,
    elasticsearch_url: str | None = None,
    pool_studies: bool | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    limit: int | None = None,
    limits: Limits | None = None,
    reader: Reader | None = None,
) -> Summary:
    """Bring a database up to date with some archives.

    Reads what is new or changed (by size or time), commits about every thousand files or ten
    seconds, and ends each file as done, duplicate, skipped or failed. Killed at any moment, the
    next run ends in the state of one that was never killed. In the main thread, the first Ctrl-C
    commits what has been read and ends the run, the second one kills it.

    Parameters
    ----------
    archives
        Folders, zip or tar files, DICOMDIRs, single files.
    database
        The folder to fill; made where there is none.
    reports
        Folder of reports; None takes those of an archive in the Open-i layout.
    compute
        The bundle, and where and in what it computes.
    workers
        Processes that decode; None for one per core.
    batch_size
        Images read by the model at once.
    retry_failed
        Read again what failed before.
    checksum
        Compare the content of all files instead of trusting size and time.
    prune
        Drop what the archives have no more.
    reread
        Read everything again; a database that was made with another bundle is brought to this one.
    text_store, elasticsearch_url
        ``"embedded"`` or ``"elasticsearch"``, and its address, of a database that is made now; see
        `Writer.open`.
    pool_studies
        Whether the images of a study share their findings; see `Writer.open`.
    progress
        Called a few times a second, in this thread.
    limit
        Read at most so many files.
    limits
        What one file may cost; None for the defaults.
    reader
        What reads the canvases in the bundle's place; None loads the bundle.

    Raises
    ------
    ArchiveError
        An archive or the report folder is missing or cannot be read.
    DatabaseLocked, DatabaseMismatch, DatabaseError
        The database is being written, does not fit, or cannot be written.
    BundleError
        The bundle, the runtime or the device cannot be used.
    MissingExtraError
        The runtime is not installed.
    DiskFullError
        There is no space left; what was committed is safe.
    """
    bundle = compute.load_bundle()
    opened = [open_archive(path, reports) for path in archives]
    key = load_key()
    folders = [archive.reports for archive in opened if archive.reports is not None]
    with ExitStack() as stack:
        found = Reports(folders if reports is None else [reports], key)
        stack.callback(found.close)
        writer = stack.enter_context(
            Writer.open(
                database,
                bundle,
                fingerprint(key),
                other_bundle=reread,
                text_store=text_store,
                elasticsearch_url=elasticsearch_url,
                pool_studies=pool_studies,
            )
        )
        if reread:
            names = [archive_name(archive) for archive in opened]
            writer.change_bundle(bundle, names, pool_studies)
        stopped = stack.enter_context(_interruptible())
        run = _Run(writer, bundle, key, found, stopped, progress, reader)
        return run.execute(
            opened,
            compute=compute,
            workers=workers or _cores(),
            batch_size=batch_size,
            compare={"retry_failed": retry_failed, "checksum": checksum, "reread": reread},
            prune=prune,
            limit=limit,
            limits=limits or Limits(),
        )


class _Run:
    """State of a run; `execute` is the run."""

    def __init__(
        self,
        writer: Writer,
        bundle: Bundle,
        key: bytes,
        reports: Reports,
        stopped: Callable[[], bool],
        progress: Callable[[Progress], None],
        reader: Reader | None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._bundle = bundle
        self._key = key
        self._reports = reports
        self._stopped = stopped
        self._progress = progress

    def execute(
        self,
        archives: Sequence[Archive],
        *,
        compute: Compute,
        workers: int,
        batch_size: int,
        compare: dict[str, bool],
        prune: bool,
        limit: int | None,
        limits: Limits,
    ) -> Summary:
        started = time.monotonic()
        writer = self._writer
        writer.begin_run()
        counts: dict[str, Any] = {}
        with Listing(writer) as listing, Committer(writer, self._reports) as committer:
            complete = listing.fill(
                archives, self._stopped, lambda n: self._progress(Progress("listing", n))
            )
            counts["total"] = listing.total
            counts["left"] = listing.total
            if complete:
                listing.compare(**compare)
                _log.info("found %d files, %d of them to read", listing.total, listing.todo)
                if listing.todo:
                    counts |= self._read(
                        listing, committer, compute, workers, batch_size, limit, limits
                    )
                else:
                    counts |= {"unchanged": listing.total, "left": 0}
                counts["removed"] = listing.removed
            interrupted = self._stopped()
            self._progress(Progress("finishing", listing.total, **_shown(counts)))
            if prune and complete and not interrupted:
                counts["pruned"] = listing.prune()
            committer.call(lambda: writer.settle(committer.find))
            if self._reports and not interrupted:
                counts["reports_changed"] = committer.call(self._update_reports)
            counts["waiting"] = committer.call(writer.outbox.finish)
            writer.compact()
            writer.build_vectors()
        seconds = time.monotonic() - started
        numbers = {k: v for k, v in counts.items() if isinstance(v, int)}
        writer.end_run("interrupted" if interrupted else "complete", numbers)
        _log.info("%s after %.1f s", "interrupted" if interrupted else "complete", seconds)
        return Summary(
            **counts,
            report_problems=tuple(self._reports.problems),
            seconds=seconds,
            interrupted=interrupted,
        )

    def _read(
        self,
        listing: Listing,
        committer: Committer,
        compute: Compute,
        workers: int,
        batch_size: int,
        limit: int | None,
        limits: Limits,
    ) -> dict[str, Any]:
        """Read the files of a listing and give the counts."""
        from indexer.archive.decoding import DecodeSettings

        todo = listing.todo if limit is None else min(limit, listing.todo)
        settings = DecodeSettings(self._bundle.size, self._bundle.squash, self._key, limits=limits)
        pool: DecodePool[FileTask, Outcome] = DecodePool(
            file_reader(settings),
            listing.tasks(limit),
            workers=min(workers, todo),
            window=max(4 * batch_size, 16 * workers),
            timeout=limits.seconds,
            memory=limits.memory_bytes,
            stopped=self._stopped,
        )
        unchanged = listing.total - listing.todo
        started, processor = time.monotonic(), Processor()
        with ExitStack() as stack:
            stack.enter_context(pool)
            # The workers are busy already while the model loads.
            runtime = self._runtime(compute, batch_size)
            stage = stack.enter_context(ModelStage(self._writer, committer, runtime, batch_size))
            stage.meter.waits["start"] = time.monotonic() - started
            clock = _Clock(todo)
            for task, outcome in pool:
                stage.take(task, outcome)
                if clock.tick():
                    self._progress(
                        Progress(
                            "reading",
                            listing.total,
                            images_per_second=clock.rate,
                            seconds_left=clock.left,
                            **_shown(stage.counts, unchanged),
                        )
                    )
            stage.finish()
        seconds = time.monotonic() - started
        uses = (
            StageUse.of("decode", pool.meter, seconds, min(workers, todo), rest="model"),
            StageUse.of("model", stage.meter, seconds, rest="decode"),
            StageUse.of("commit", committer.meter, seconds, rest="model"),
        )
        reasons = {status: dict(c.most_common()) for status, c in stage.reasons.items()}
        return {
            **_shown(stage.counts, unchanged),
            "left": listing.todo - clock.count,
            "reasons": reasons,
            "images_per_second": round(clock.mean, 2),
            # After the workers' end: only then does the system tell what they used.
            "stages": processor.use(seconds, uses, _cores()),
        }

    def _runtime(self, compute: Compute, batch_size: int) -> Reader:
        if self._reader is not None:
            return self._reader
        # Here, and not at the top: a run without anything to read never imports torch.
        from indexer.cascade.reading import Runtime

        return Runtime(self._bundle, compute, batch_size)

    def _update_reports(self) -> int:
        states = self._reports.states()
        if all(self._writer.report_state(path) == state for path, state in states.items()):
            return 0
        return self._writer.update_reports(self._reports.find, states)


class _Clock:
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


def _shown(counts: Mapping[str, Any], unchanged: int = 0) -> dict[str, int]:
    """The counts that progress and summary share."""
    names = ("done", "duplicate", "skipped", "failed", "unchanged")
    shown = {name: int(counts.get(name, 0)) for name in names}
    shown["unchanged"] += unchanged
    return shown


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """In the main thread, take the first Ctrl-C (or SIGTERM) as a wish to end soon."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped.is_set
        return

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
