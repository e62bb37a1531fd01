"""Filling a database from Python: `cxrdex.index`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.archive.limits import Limits
from indexer.cascade.compute import Compute

if TYPE_CHECKING:
    from indexer.pipeline.run import Progress, Stop, Summary

__all__ = ["index"]


def index(
    archives: str | Path | Sequence[str | Path],
    database: str | Path,
    *,
    reports: str | Path | None = None,
    compute: Compute = Compute(),
    workers: int | None = None,
    batch_size: int = 32,
    retry_failed: bool = False,
    checksum: bool = False,
    prune: bool = False,
    reread: bool = False,
    text_store: str | None = None,
    elasticsearch_url: str | None = None,
    vector_store: str | None = None,
    pool_studies: bool | None = None,
    limits: Limits | None = None,
    progress: Callable[[Progress], None] | None = None,
    on: str | None = None,
    stop: Stop | None = None,
) -> Summary:
    """Read every chest X-ray of some archives into a database, as ``cxrdex index`` does.

    >>> summary = cxrdex.index("archive", "database", reports="archive/reports")
    >>> summary.total, summary.unchanged, summary.done
    (167, 167, 0)

    Here nothing was new since the first run, which ended as ``(167, 0, 94)``. Files are decoded in
    processes of their own, so a script must call this under ``if __name__ == "__main__":``.

    Parameters
    ----------
    archives
        A folder, a zip or tar file, a DICOMDIR, a single file or an address (``s3://...``), or
        several of these.
    database
        The folder to fill; made where there is none.
    reports
        Folder of reports to attach.
    compute
        The bundle that reads the images, and what computes it.
    workers
        Processes that decode; None for one per core.
    batch_size
        Images that the model reads at once.
    retry_failed
        Read files again that failed before.
    checksum
        Compare contents, not just size and time.
    prune
        Drop images whose files are gone from the archives.
    reread
        Read all files again; brings a database made with another bundle up to this one.
    text_store, elasticsearch_url
        Of a database that is made now: ``"embedded"`` or ``"elasticsearch"``, and its address.
    vector_store
        Of a database that is made now: ``"faiss"``, or ``"elasticsearch"`` for vectors beside the
        words.
    pool_studies
        Of a database that is made now: whether the images of a study share their findings.
    limits
        What one file may cost; None for the defaults of the command.
    progress
        Called a few times a second, in this thread.
    on
        A Ray cluster on whose hosts files are read, ``"ray"`` or ``"ray://HOST:PORT"``; each part
        of the work then takes so many `workers` of a host.
    stop
        A `threading.Event` or the like: once it is set, the run commits what it has read and ends.

    Returns
    -------
    Summary
        How many files ended how, and why files were left out.

    Raises
    ------
    ArchiveError
        An archive or the folder of reports cannot be read.
    DatabaseLocked, DatabaseMismatch, DatabaseError
        The database is being written, does not fit, or cannot be written.
    BundleError, MissingExtraError
        The bundle, the runtime or the device cannot be used, or Ray is not installed.
    ClusterError
        No cluster answers at `on`, or a host of it does not fit.
    DiskFullError
        There is no space left; what was committed is safe.
    """
    from indexer.archive.sources.remote import is_address
    from indexer.database.choices import Choices
    from indexer.pipeline.options import FileProcessing, FileSelection
    from indexer.pipeline.run import index as run
    from search.service import prepare_meanings

    several = [archives] if isinstance(archives, str | Path) else archives
    summary = run(
        [archive if is_address(archive) else Path(archive) for archive in several],
        Path(database),
        reports=None if reports is None else Path(reports),
        compute=compute,
        choices=Choices(text_store, elasticsearch_url, pool_studies, vector_store=vector_store),
        selection=FileSelection(retry_failed, checksum, reread, prune),
        processing=FileProcessing(workers, on, batch_size, limits or Limits()),
        progress=progress or (lambda _: None),
        stop=stop,
    )
    prepare_meanings(Path(database), summary)
    return summary
