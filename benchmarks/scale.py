"""Does a run stay as small, and a second run as quick, when the archive grows?

    python -m benchmarks.scale

Indexes archives of generated files with a stand-in for the model, each in a process of its own, and
runs again with nothing changed. One file in twenty is a picture of 64 x 64 pixels, the others are
files that an archive holds beside its images, and are looked at and skipped.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import psutil

from benchmarks.plot import Curves, write_plot
from benchmarks.record import write_result

_SECONDS = 0.5
_PER_FOLDER = 1000
_PICTURES = 20


def _fill(archive: Path, count: int) -> None:
    """Write `count` files, each twentieth one a picture unlike all others."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(count):
        folder = archive / f"{number // _PER_FOLDER:06d}"
        if number % _PER_FOLDER == 0:
            folder.mkdir(parents=True)
        if number % _PICTURES:
            (folder / f"note{number:08d}.txt").write_text(f"note {number}\n")
        else:
            pixels = rng.integers(0, 256, (64, 64), np.uint8)
            Image.fromarray(pixels).save(folder / f"picture{number:08d}.png", compress_level=1)


def _memory(process: psutil.Process) -> int:
    """Resident bytes of the process and its children."""
    total = 0
    for member in (process, *process.children(recursive=True)):
        try:
            total += member.memory_info().rss
        except psutil.Error:
            continue  # it ended meanwhile
    return total


def _run(archive: Path, database: Path) -> dict[str, Any]:
    """One run in a process of its own: its summary, and the peaks of its memory."""
    words = [sys.executable, "-m", "benchmarks.scale", "--index", str(archive), str(database)]
    peak = 0
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
        process = psutil.Process(child.pid)
        while child.poll() is None:
            try:
                peak = max(peak, _memory(process))
            except psutil.Error:
                break  # it ended meanwhile
            time.sleep(_SECONDS)
        output = child.stdout.read() if child.stdout else ""
    if child.returncode:
        raise click.ClickException(f"the run ended with {child.returncode}")
    summary = json.loads(output)
    return {
        "seconds": round(summary["seconds"], 1),
        "done": summary["done"],
        "skipped": summary["skipped"],
        "unchanged": summary["unchanged"],
        "files_per_second": round(summary["total"] / summary["seconds"]),
        # Until all files are read; then the vector index is built.
        "peak_rss_reading_mib": round(summary["reading_kib"] / 1024, 1),
        "peak_rss_mib": round(summary["kib"] / 1024, 1),
        "sampled_rss_with_workers_mib": round(peak / 2**20, 1),
    }


def _index(archive: Path, database: Path) -> None:
    # Not at the top: the decoding processes import this module too.
    from benchmarks.stand_in import StandIn
    from indexer.cascade.bundle import Bundle
    from indexer.pipeline.run import Progress, index

    reading = 0

    def watch(progress: Progress) -> None:
        nonlocal reading
        if progress.stage == "finishing" and not reading:
            reading = _peak_kib()

    bundle = Bundle.load()
    summary = index([archive], database, predictor=StandIn(bundle), progress=watch)
    click.echo(json.dumps({**summary.to_json(), "reading_kib": reading, "kib": _peak_kib()}))


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@click.command()
@click.option("--count", "counts", multiple=True, type=int, default=(10_000, 100_000, 1_000_000))
@click.option(
    "--index", "paths", nargs=2, type=click.Path(path_type=Path), help="Only index; for itself."
)
def main(counts: tuple[int, ...], paths: tuple[Path, Path] | None) -> None:
    """Print and keep memory and rates of first and second runs."""
    if paths:
        _index(*paths)
        return
    runs: dict[str, Any] = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            archive, database = Path(folder) / "archive", Path(folder) / "database"
            _fill(archive, count)
            runs[str(count)] = {"first": _run(archive, database), "again": _run(archive, database)}
            click.echo(f"{count}: {runs[str(count)]}", err=True)
    shown = list(runs.values())
    memory = {
        "reading": [run["first"]["peak_rss_reading_mib"] for run in shown],
        "and building the vector index": [run["first"]["peak_rss_mib"] for run in shown],
        "with all workers, sampled": [
            run["first"]["sampled_rss_with_workers_mib"] for run in shown
        ],
    }
    rates = {name: [run[name]["files_per_second"] for run in shown] for name in ("first", "again")}
    curves = (Curves("peak of resident MiB", memory, 0), Curves("files a second", rates))
    write_plot("scale", "files", [int(count) for count in runs], curves, columns=2)
    write_result("scale", {"command": "python -m benchmarks.scale", "runs": runs})


if __name__ == "__main__":
    main()
