"""Options of `cxrdex index` that reach it as what a run takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from cli.options import FiniteRange, as_one, store_options

if TYPE_CHECKING:
    from indexer.archive.limits import Limits
    from indexer.database.choices import Choices
    from indexer.pipeline.options import FileProcessing, FileSelection

__all__ = ["choices_options", "processing_options", "selection_options"]


def _selection(
    retry_failed: bool, checksum: bool, reread: bool, prune: bool, prune_limit: float
) -> FileSelection:
    from indexer.pipeline.options import FileSelection

    return FileSelection(retry_failed, checksum, reread, prune, prune_limit / 100)


def _choices(
    group: str | None,
    text_store: str | None,
    elasticsearch_url: str | None,
    vector_store: str | None,
    pool_studies: bool | None,
) -> Choices:
    from indexer.database.choices import Choices

    return Choices(text_store, elasticsearch_url, pool_studies, group, vector_store=vector_store)


def _limits(timeout: float, max_file_size: int, max_pixels: int, worker_memory: int) -> Limits:
    from indexer.archive.limits import Limits

    return Limits(
        file_bytes=max_file_size * 2**20,
        pixels=max_pixels * 1_000_000,
        memory_bytes=worker_memory * 2**20,
        seconds=timeout,
    )


def _processing(
    workers: int | None,
    on: str | None,
    batch_size: int,
    limits: Limits,
    thumbnails: Literal["unmarked", "clean"],
) -> FileProcessing:
    from indexer.pipeline.options import FileProcessing

    return FileProcessing(workers, on, batch_size, limits, thumbnails)


selection_options = as_one(
    "selection",
    _selection,
    click.option("--retry-failed", is_flag=True, help="Read files again that failed before."),
    click.option("--checksum", is_flag=True, help="Compare contents, not just size and time."),
    click.option(
        "--reread",
        is_flag=True,
        help="Read all files again; brings a database made with another bundle up to this one.",
    ),
    click.option(
        "--prune", is_flag=True, help="Drop images whose files are gone from the archive."
    ),
    click.option(
        "--prune-limit",
        type=FiniteRange(0, 100),
        default=10.0,
        metavar="PERCENT",
        help="Refuse to drop more of an archive's files than this; an empty archive always.",
    ),
)

choices_options = as_one(
    "choices",
    _choices,
    click.option(
        "--group",
        metavar="NAME",
        help="Let a group of users read the database.  [default: its owner alone]",
    ),
    store_options,
    click.option(
        "--pool-studies/--no-pool-studies",
        default=None,
        help="The images of a study share their findings: the mean of what each says. Chosen when "
        "the database is made.  [default: they do]",
    ),
)

_limit_options = as_one(
    "limits",
    _limits,
    click.option(
        "--timeout",
        type=FiniteRange(min=0, min_open=True),
        default=120.0,
        help="Seconds after which a file that is still being read has failed.",
    ),
    click.option(
        "--max-file-size",
        type=click.IntRange(1),
        default=512,
        metavar="MIB",
        help="Skip larger files, and deflated ones that unpack to more.",
    ),
    click.option(
        "--max-pixels",
        type=click.IntRange(1),
        default=100,
        metavar="MILLIONS",
        help="Images of more pixels fail.",
    ),
    click.option(
        "--worker-memory",
        type=click.IntRange(256),
        default=2048,
        metavar="MIB",
        help="Memory that reading one file may take; more, and the file fails.",
    ),
)

processing_options = as_one(
    "processing",
    _processing,
    click.option("--workers", type=click.IntRange(1), help="Decoding processes.  [default: cores]"),
    click.option(
        "--on",
        metavar="ray|ray://HOST:PORT",
        help="Read the files on the hosts of a Ray cluster, which see the archives at the same "
        "paths; see docs/ray.md. `ray` is the cluster of this machine. --workers is then what one "
        "chunk of files takes of a host.  [default: this machine alone]",
    ),
    click.option(
        "--batch-size",
        type=click.IntRange(1),
        default=32,
        help="Images the model reads at once.",
    ),
    _limit_options,
    click.option(
        "--thumbnails",
        type=click.Choice(["unmarked", "clean"]),
        default="unmarked",
        help="Keep small pictures of all images but those that may have text burned in, or only of "
        "those whose header says that they have none.",
    ),
)
