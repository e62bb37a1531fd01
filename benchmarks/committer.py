"""How many images a second one process commits, and how many cores of decoding that feeds.

    python -m benchmarks.committer

A seeded stand-in takes the place of decoding and model: files that were read, with vectors,
readings of the bundle's form, headers, reports and thumbnails, in studies of two images, one file
in twenty the twin of an earlier one. All behind them is that of a run: look-up of duplicates,
commits, text store, thumbnails, shards, ledger.
"""

from __future__ import annotations

import os
import resource
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np
import psutil

from benchmarks.record import write_result
from benchmarks.stand_in import StandIn
from indexer.annotation import Annotation
from indexer.archive.decoding import DecodedImage
from indexer.archive.deidentify import Metadata
from indexer.archive.reports import Report
from indexer.cascade.bundle import Bundle
from indexer.cascade.reading import Reading
from indexer.database.ledger.ledger import Ledger
from indexer.database.outcomes import File, Read
from indexer.database.writer import Writer
from indexer.pipeline.reports import Reports
from indexer.pipeline.stages.commits import Committer
from indexer.pipeline.stages.duplicates import Duplicates
from indexer.pipeline.stages.model import ModelStage
from indexer.pipeline.stages.text_process import text_written_apart

_POOL = 2000
_TWIN = 20
_STEPS = 20
# Python runs one thread at a time: a process that uses so much of a core has no more to give.
_FULL = 0.9
_SEXES: tuple[Literal["F"], Literal["M"]] = ("F", "M")
_CANVAS = np.zeros((1, 1), np.uint8)
_SENTENCES = (
    "The heart is normal in size.", "No pneumothorax or pleural effusion.", "The lungs are clear.",
    "There is a small left pleural effusion.", "Mild cardiomegaly is unchanged.",
    "Degenerative changes of the thoracic spine.", "No focal consolidation.",
    "A calcified granuloma is seen in the right upper lobe.",
)  # fmt: skip


class _Results:
    """Results of reading, drawn from a seed; what makes them costs little beside a commit.

    Parameters
    ----------
    bundle
        Whose findings and dimensions the readings have.
    """

    def __init__(self, bundle: Bundle, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._readings = StandIn(bundle, seed).read(np.zeros((_POOL, 1, 1), np.uint8))
        self._reports = [self._report(number) for number in range(_POOL)]
        # As long as those of real films; what is in them is not looked at.
        sizes = self._rng.integers(2500, 5500, _POOL)
        self._pictures = [self._rng.bytes(int(size)) for size in sizes]
        self._next = 0

    def _report(self, number: int) -> Report:
        said = self._rng.choice(len(_SENTENCES), 5, replace=False)
        text = " ".join(_SENTENCES[place] for place in said)
        written = (Annotation.from_words("human", "opacity", ("lung", "left")),)
        return Report(
            f"{number:016x}", {"findings": text, "impression": _SENTENCES[said[0]]}, written
        )

    def find(self, report_keys: Sequence[str]) -> Report | None:
        """The report of an image."""
        number = int(report_keys[0], 16) // 2
        return self._reports[number % _POOL] if number % 4 else None

    def read(self, canvases: Any, /) -> list[Reading]:
        """Readings of some images, in order; each of another vector."""
        first, self._next = self._next, self._next + len(canvases)
        chosen = [self._readings[number % _POOL] for number in range(first, self._next)]
        return [replace(one, embedding=np.roll(one.embedding, first)) for one in chosen]

    def files(self, count: int) -> Iterator[Read]:
        """Files that were read; the twins of earlier ones are of other studies."""
        for number in range(count):
            shown = number - 7 if number % _TWIN == _TWIN - 1 else number
            study = f"{(number // 2) * 0x9E3779B97F4B % 2**48:012x}"
            patient = f"{(number // 6) * 0xC2B2AE3D27D5 % 2**48:012x}"
            metadata = Metadata(
                rows=2500, columns=2000, sex=_SEXES[number % 2], age=20 + number % 70,
                year=2000 + number % 25, view="PA" if number % 2 else "LL",
            )  # fmt: skip
            image = DecodedImage(
                _CANVAS,
                f"{shown * 0x9E3779B97F4A7C15 % 2**64:016x}",
                study,
                patient,
                metadata,
                self._pictures[shown % _POOL],
                (2500, 2000),
                (f"{number:016x}",),
            )
            file = File(1, f"{number // 1000:06d}/{number:09d}.dcm", 10_000_000, number)
            yield Read(file, f"{number:064x}", image)


class _Found(Reports):
    """The reports of `_Results` in place of a folder's."""

    def __init__(self, results: _Results) -> None:
        super().__init__([], b"")
        self._results = results

    def __bool__(self) -> bool:
        return True

    def find(self, report_keys: Sequence[str]) -> Report | None:
        return self._results.find(report_keys)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _sizes(path: Path) -> dict[str, int]:
    """Bytes of the parts of a database."""
    parts = {
        "ledger": sum(p.stat().st_size for p in path.glob("ledger.sqlite*")),
        "thumbnails": sum(p.stat().st_size for p in path.glob("thumbnails.sqlite*")),
    }
    return parts | {name: _size(path / name) for name in ("embeddings", "text", "vectors")}


def _memory() -> float:
    """Resident MiB now, with that of the process that writes words."""
    own = psutil.Process()
    resident = sum(process.memory_info().rss for process in (own, *own.children()))
    return round(resident / 2**20, 1)


def _children_seconds() -> float:
    """Processor seconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class _Threads:
    """Processor seconds of this process's threads by their names, now."""

    def __call__(self) -> dict[str, float]:
        ticks = os.sysconf("SC_CLK_TCK")
        used: dict[str, float] = {}
        for thread in threading.enumerate():
            try:
                stat = Path(f"/proc/self/task/{thread.native_id}/stat").read_text()
            except FileNotFoundError:
                continue
            fields = stat.rpartition(")")[2].split()
            name = "main" if thread is threading.main_thread() else thread.name.split("_")[0]
            used[name] = used.get(name, 0.0) + (int(fields[11]) + int(fields[12])) / ticks
        return used


def _run(path: Path, rows: int, limit: float, apart: bool = True) -> dict[str, Any]:
    """Measure a run.

    Parameters
    ----------
    limit
        Seconds after which it ends.
    apart
        Whether a process of its own writes the words, as in a large run.
    """
    bundle = Bundle.load()
    results = _Results(bundle)
    steps: list[dict[str, float]] = []
    taken, step = 0, 1000
    with Writer.open(path, bundle, "0123abcd") as writer:
        writer.begin_run()
        writer.archive("/archive")
        started, processor = time.monotonic(), time.process_time()
        children = _children_seconds()
        with (
            Committer(writer, _Found(results)) as committer,
            closing(Ledger(writer.layout.ledger)) as ledger,
        ):
            stage = ModelStage(Duplicates(ledger, committer), committer, results, 32)
            with text_written_apart(writer) if apart else nullcontext(), stage:
                for number, file in enumerate(results.files(rows), 1):
                    stage.take(file)
                    taken = number
                    if time.monotonic() - started > limit:
                        break
                    if number % step == 0:
                        seconds = round(time.monotonic() - started, 1)
                        steps.append({"files": number, "seconds": seconds, "rss_mib": _memory()})
                        if len(steps) > 2 * _STEPS:
                            steps, step = steps[1::2], 2 * step
                stage.finish()
                seconds = time.monotonic() - started
                sent = committer.call(writer.outbox.finish)
                drained = time.monotonic() - started
            used = _Threads()()
            busy = {"commit": committer.meter.busy, "send": committer.sending.busy}
        processor = time.process_time() - processor
        children = _children_seconds() - children
        sizes = _sizes(path)
        images = writer.ledger.images.count
        writer.end_run("complete", {})
    closed = _sizes(path)
    asked, rows = rows, taken
    return {
        "rows_asked_for": asked,
        "rows": rows,
        "limited_by": limited_by(processor, drained, used, busy, children),
        "images": images,
        "seconds": round(seconds, 2),
        "seconds_until_searchable": round(drained, 2),
        "rows_per_second": round(rows / drained, 1),
        "documents_waiting": sent,
        # What a row took on this machine, and what the busier of the two processes computed for it.
        "driver_ms": round(1000 * drained / rows, 3),
        "driver_core_ms": round(1000 * max(processor, children) / rows, 3),
        "process_core_ms": round(1000 * processor / rows, 3),
        "text_process_core_ms": round(1000 * children / rows, 3),
        "busy_ms": {name: round(1000 * value / rows, 3) for name, value in busy.items()},
        "thread_core_ms": {name: round(1000 * value / rows, 3) for name, value in used.items()},
        "bytes_per_image": {name: round(size / images, 1) for name, size in closed.items()},
        "bytes_while_writing": sizes,
        "steps": steps,
    }


def limited_by(
    processor: float,
    seconds: float,
    used: Mapping[str, float],
    busy: Mapping[str, float],
    words: float = 0.0,
) -> str:
    """What kept the process that commits from doing more.

    Parameters
    ----------
    processor
        Core seconds of the whole process in these seconds.
    used, busy
        Core seconds of each thread, and seconds in which a thread had work.
    words
        Core seconds of the process that writes words.
    """
    if words > max(processor, _FULL * seconds):
        return f"the process that writes words, which used {words / seconds:.0%} of a core"
    cores = processor / seconds
    if cores >= _FULL:
        most = max(used, key=lambda thread: used[thread])
        return (
            f"the one core of the process, used to {cores:.0%}; the largest part, "
            f"{used[most] / processor:.0%}, is the thread {most!r}"
        )
    most = max(busy, key=lambda thread: busy[thread])
    return (
        f"no core, of which the process used {cores:.0%}: the thread {most!r} was busy for "
        f"{busy[most] / seconds:.0%} of the time, and waited for the disk or for others' work"
    )


@click.command()
@click.option("--rows", default=20_000, show_default=True)
@click.option("--seconds", default=float("inf"), help="End after so many, with what is done then.")
@click.option(
    "--database", type=click.Path(path_type=Path), help="Make it here, and keep it.  [default: no]"
)
@click.option("--name", default="committer", show_default=True, help="Of the result.")
@click.option("--one-process", is_flag=True, help="Write words in the process that commits.")
def main(rows: int, seconds: float, database: Path | None, name: str, one_process: bool) -> None:
    """Print and keep what a commit costs, by thread, and what the database takes."""
    with tempfile.TemporaryDirectory() as place:
        measured = _run(database or Path(place) / "database", rows, seconds, not one_process)
    command = f"python -m benchmarks.committer --rows {rows}"
    if seconds < float("inf"):
        command += f" --seconds {seconds:g}"
    if one_process:
        command += " --one-process"
    write_result(name, {"command": command, **measured})


if __name__ == "__main__":
    main()
