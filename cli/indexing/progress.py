"""The progress of a run on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from cli.terminal import console, echo

if TYPE_CHECKING:
    from indexer.pipeline.run import Progress

__all__ = ["shown"]

# Without a terminal, a line is logged this often.
_SECONDS_BETWEEN_LINES = 10.0


def _nothing(progress: Progress) -> None:
    pass


@contextmanager
def shown(quiet: bool, note: str | None) -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal, plain lines elsewhere, after a note if any; all on stderr."""
    with ExitStack() as stack:
        update: Callable[[Progress], None] = _nothing
        if not quiet:
            update = stack.enter_context(_bar()) if sys.stderr.isatty() else _lines()
        notes = [note] if note else []

        def show(progress: Progress) -> None:
            # Not before the run has begun: until then it may end in an error of one line.
            while notes:
                echo(notes.pop(), err=True)
            update(progress)

        yield show


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TextColumn("{task.fields[speed]:.1f} images/s"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[counts]}"),
    )
    with Bar(*columns, console=console(err=True), transient=True) as bar:
        task = bar.add_task("reading", total=0, speed=0.0, counts="")

        def update(progress: Progress) -> None:
            bar.update(
                task,
                description=progress.stage,
                completed=_finished(progress),
                total=progress.total,
                speed=progress.images_per_second,
                counts=_counts(progress),
            )

        yield update


def _lines() -> Callable[[Progress], None]:
    last = time.monotonic()

    def update(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last < _SECONDS_BETWEEN_LINES:
            return
        last = time.monotonic()
        left = progress.seconds_left
        echo(
            f"{progress.stage} {_finished(progress)}/{progress.total}, "
            f"{progress.images_per_second:.1f} images/s, "
            f"{'time left unknown' if left is None else f'{left:.0f} s left'}, "
            f"{_counts(progress)}",
            err=True,
        )

    return update


def _finished(progress: Progress) -> int:
    read = progress.done + progress.duplicate + progress.skipped + progress.failed
    return read + progress.unchanged


def _counts(counts: Progress) -> str:
    return (
        f"{counts.done} done, {counts.duplicate} duplicate, "
        f"{counts.skipped} skipped, {counts.failed} failed"
    )
