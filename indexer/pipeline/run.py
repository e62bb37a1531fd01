"""One run of the indexer: from archives to a database that search can ask."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from indexer.archive.decoding import DecodeSettings
from indexer.archive.deidentify import fingerprint
from indexer.archive.id_key import drafted_key, find_key, key_path, load_key
from indexer.archive.sources.members import Archive, open_archive
from indexer.cascade.compute import Compute
from indexer.database.choices import Choices
from indexer.database.layout import Layout
from indexer.database.ledger.ledger import Ledger
from indexer.database.writer import Writer
from indexer.errors import DatabaseMismatch, PruneRefused
from indexer.pipeline.executor import Executor, ProcessExecutor, file_reader
from indexer.pipeline.listing import Listing, archive_name
from indexer.pipeline.options import FileProcessing, FileSelection
from indexer.pipeline.progress import Clock, Progress, Summary, end_counts
from indexer.pipeline.reports import ReportCount, Reports
from indexer.pipeline.stages.batches import CanvasPredictor
from indexer.pipeline.stages.commits import Committer
from indexer.pipeline.stages.duplicates import Duplicates
from indexer.pipeline.stages.meters import Processor, StageUse, cores
from indexer.pipeline.stages.model import ModelStage
from indexer.pipeline.stages.text_process import text_written_apart
from indexer.pipeline.stopping import Stop, interruptible

__all__ = ["Progress", "Stop", "Summary", "index"]

_log = logging.getLogger(__name__)

# From so many files on a process that writes words is worth its start, half a second of a core.
_MANY = 5_000


def index(
    archives: Sequence[Path | str],
    database: Path,
    *,
    reports: Path | None = None,
    labels: Sequence[Path] = (),
    compute: Compute = Compute(),
    choices: Choices = Choices(),
    selection: FileSelection = FileSelection(),
    processing: FileProcessing = FileProcessing(),
    progress: Callable[[Progress], None] = lambda _: None,
    predictor: CanvasPredictor | None = None,
    executor: Executor | None = None,
    stop: Stop | None = None,
) -> Summary:
    """Bring a database up to date with some archives.

    Reads what is new or changed (by size or time), commits about every thousand files (up to four
    thousand while they come faster than they are committed) or ten seconds, and ends each file as
    done, duplicate, skipped or failed. Killed at any moment, the next run ends in the state of one
    that was never killed. Once `stop` is set, and in the main thread at the first Ctrl-C, it
    commits what has been read and ends; a second Ctrl-C kills it.

    Parameters
    ----------
    archives
        Folders, zip or tar files, DICOMDIRs, single files, addresses (``s3://bucket/prefix``).
    database
        The folder to fill; made where there is none.
    reports
        Folder of reports; None takes those of an archive in the Open-i layout.
    labels
        Data sets (see `indexer.datasets.images.Dataset.open`) whose labels, annotations and
        captions become those of the images of the same names.
    compute
        The bundle, and where and in what it computes.
    choices
        What is asked for of the database. Polarity holds for what is read from now on, and for
        query pictures.
    selection
        Which files are read and dropped.
    processing
        How and where they are read.
    progress
        Called a few times a second, in this thread.
    predictor
        What reads the canvases in the bundle's place; None loads the bundle.
    executor
        Where files are read; None for what `processing` says.
    stop
        Asked all the time, from several threads; None leaves it to Ctrl-C.

    Raises
    ------
    ArchiveError
        An archive or the report folder is missing or cannot be read.
    TrainingError
        What `labels` names is no data set, or a table of it is malformed.
    DatabaseLocked, DatabaseMismatch, DatabaseError
        The database is being written, does not fit, or cannot be written.
    BundleError
        The bundle, the runtime or the device cannot be used.
    MissingExtraError
        The runtime is not installed, or Ray.
    ClusterError
        No cluster answers at `on`, or a host of it does not fit.
    DiskFullError
        There is no space left; what was committed is safe.
    PruneRefused
        More is gone from an archive than `prune_limit`; nothing was read or dropped.
    """
    layout = Layout(database)
    if not selection.reread and layout.is_made:
        compute = compute.with_default_bundle(layout.read_manifest().bundle_path)
    bundle = compute.load_bundle()
    opened = [open_archive(path, reports) for path in archives]
    key = find_key()
    if key is None and layout.is_made:
        raise DatabaseMismatch(
            f"the database {database} was made with an id key, but there is none at {key_path()}: "
            "name the file of that key in CXRDEX_KEY_FILE"
        )
    folders = [one.reports for one in opened if one.reports] if reports is None else [reports]

    def load_predictor() -> CanvasPredictor:
        if predictor is not None:
            return predictor
        # Here, and not at the top: a run without anything to read never imports torch.
        from indexer.cascade.reading import Predictor

        return Predictor(bundle, compute, processing.batch_size)

    with ExitStack() as stack:
        keep = remote = None
        if processing.on is not None:
            from indexer.pipeline.remote.starting import RemoteRun

            # Hosts are compared with this machine before a database is made.
            key = key or load_key()
            remote = stack.enter_context(
                RemoteRun.on(processing.on, key, bundle, compute, opened, processing.workers)
            )
        if key is None:
            # The key is written only when the run is not refused.
            key, keep = stack.enter_context(drafted_key())
        found = Reports(folders, key, labels)
        stack.callback(found.close)
        writer = stack.enter_context(
            Writer.open(database, bundle, fingerprint(key), choices, other_bundle=selection.reread)
        )
        if keep is not None and keep() != key:
            raise DatabaseMismatch(
                f"another run has made the id key {key_path()} at the same moment: remove the new, "
                f"empty database {database}, and run again"
            )
        if selection.reread:
            names = [archive_name(archive) for archive in opened]
            writer.change_bundle(bundle, names, choices.pool_studies)
        stopped = stack.enter_context(interruptible(stop))
        run = _Run(writer, found, selection, processing, stopped, progress)
        settings = DecodeSettings(
            bundle.size,
            bundle.squash,
            key,
            borders=bundle.borders,
            thumbnails=processing.thumbnails,
            polarity=writer.manifest.polarity or {},
            limits=processing.limits,
        )

        def make_executor(todo: int) -> Executor:
            if remote is not None:
                return remote.executor(settings, processing.batch_size, todo, stopped)
            return executor or run.processes(settings, todo)

        return run.execute(opened, load_predictor, make_executor)


class _Run:
    """State of a run; `execute` is the run."""

    def __init__(
        self,
        writer: Writer,
        reports: Reports,
        selection: FileSelection,
        processing: FileProcessing,
        stopped: Callable[[], bool],
        progress: Callable[[Progress], None],
    ) -> None:
        self._writer = writer
        self._reports = reports
        self._selection = selection
        self._processing = processing
        self._stopped = stopped
        self._progress = progress

    def execute(
        self,
        archives: Sequence[Archive],
        load_predictor: Callable[[], CanvasPredictor],
        make_executor: Callable[[int], Executor],
    ) -> Summary:
        started = time.monotonic()
        writer, selection = self._writer, self._selection
        writer.begin_run()
        with Listing(writer) as listing, Committer(writer, self._reports) as committer:
            complete = listing.fill(
                archives, self._stopped, lambda n: self._progress(Progress("listing", n))
            )
            done = Summary(total=listing.total, left=listing.total)
            if complete:
                listing.compare(selection)
                if selection.prune:
                    self._check_removed(listing)
                _log.info("found %d files, %d of them to read", listing.total, listing.todo)
                if listing.todo:
                    executor = make_executor(listing.todo)
                    done = self._read(listing, committer, load_predictor, executor)
                else:
                    done = Summary(total=listing.total, unchanged=listing.total)
                done = replace(done, removed=listing.removed)
            interrupted = self._stopped()
            self._progress(done.finishing())
            if selection.prune and complete and not interrupted:
                done = replace(done, pruned=listing.prune())
            committer.call(lambda: writer.settle(committer.find))
            if self._reports and not interrupted:
                done = replace(
                    done,
                    reports_changed=committer.call(self._update_reports),
                    reports=committer.call(self._count_reports),
                )
            done = replace(done, waiting=committer.call(writer.outbox.finish))
            writer.compact()
            writer.build_vectors()
        seconds = time.monotonic() - started
        unmatched = self._reports.unmatched
        done = replace(done, labels_unmatched=unmatched, seconds=seconds, interrupted=interrupted)
        writer.end_run("interrupted" if interrupted else "complete", done.counts())
        _log.info("%s after %.1f s", "interrupted" if interrupted else "complete", seconds)
        return done

    def _check_removed(self, listing: Listing) -> None:
        try:
            listing.check_removed(self._selection.prune_limit)
        except PruneRefused:
            self._writer.end_run("interrupted", {})
            raise

    def processes(self, settings: DecodeSettings, todo: int) -> ProcessExecutor:
        """The executor that reads this many files on this machine."""
        processing, limit = self._processing, self._selection.limit
        workers = processing.workers or cores()
        return ProcessExecutor(
            file_reader(settings),
            workers=min(workers, todo if limit is None else limit),
            window=max(4 * processing.batch_size, 16 * workers),
            seconds=processing.limits.seconds,
            memory=processing.limits.memory_bytes,
            stopped=self._stopped,
        )

    def _read(
        self,
        listing: Listing,
        committer: Committer,
        load_predictor: Callable[[], CanvasPredictor],
        executor: Executor,
    ) -> Summary:
        """Read the files of a listing, and count how they ended."""
        limit, reread = self._selection.limit, self._selection.reread
        todo = listing.todo if limit is None else min(limit, listing.todo)
        unchanged = listing.total - listing.todo
        started, processor = time.monotonic(), Processor()
        with executor, ExitStack() as stack:
            outcomes = executor.run(listing.tasks(limit))
            # The files are being read already while the model loads.
            predictor = None if executor.predicts else load_predictor()
            if todo >= _MANY:
                stack.enter_context(text_written_apart(self._writer))
            # Of its own, as the writer's is kept from other threads while a commit is written.
            ledger = stack.enter_context(closing(Ledger(self._writer.layout.ledger)))
            duplicates = Duplicates(ledger, committer)
            stage = stack.enter_context(
                ModelStage(
                    duplicates, committer, predictor, self._processing.batch_size, reread=reread
                )
            )
            stage.meter.waits["start"] = time.monotonic() - started
            clock = Clock(todo)
            for outcome in outcomes:
                stage.take(outcome)
                if clock.tick():
                    self._progress(
                        Progress(
                            "reading",
                            listing.total,
                            *end_counts(stage.counts, unchanged),
                            images_per_second=clock.rate,
                            seconds_left=clock.left,
                        )
                    )
                if self._stopped():
                    break
            stage.finish()
        seconds = time.monotonic() - started
        # The system tells what the workers used only now, after they have ended.
        uses = [*executor.uses(seconds)]
        if predictor is not None:
            uses.append(StageUse.of("model", stage.meter, seconds, rest="decode"))
        uses += committer.uses(seconds)
        stages = processor.use(seconds, uses, executor.cores or cores())
        if executor.cores is not None:
            # The system does not know the processor time of other machines.
            stages = replace(stages, processor=None)
        reasons = {str(status): dict(c.most_common()) for status, c in stage.reasons.items()}
        return Summary(
            listing.total,
            *end_counts(stage.counts, unchanged),
            left=listing.todo - clock.count,
            reasons=reasons,
            notes=dict(stage.notes.most_common()),
            images_per_second=round(clock.mean, 2),
            stages=stages,
        )

    def _count_reports(self) -> ReportCount:
        self._reports.open()
        self._reports.claim(self._writer.ledger.images.report_keys())
        return self._reports.count()

    def _update_reports(self) -> int:
        states = self._reports.states()
        known = self._writer.ledger.runs.report_state
        if all(known(path) == state for path, state in states.items()):
            return 0
        return self._writer.update_reports(
            self._reports.find, states, lambda: not self._reports.count().unreadable
        )
