"""Does the memory of an index run grow with the number of files?

    python -m benchmarks.memory

Indexes 6,000 and 60,000 generated pictures, each into a new database, and compares the peaks of
the resident memory: of the process that reads, and of it and its decoding workers together.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import psutil

from benchmarks.record import write_result
from indexer.archive.simulation import simulate_pictures

_SECONDS = 0.5


def _memory(process: psutil.Process) -> tuple[int, int]:
    """Resident bytes of the tree, and of its first process."""
    own: int = process.memory_info().rss
    total = own
    for member in process.children(recursive=True):
        try:
            total += member.memory_info().rss
        except psutil.Error:
            continue  # it ended meanwhile
    return total, own


def _run(archive: Path, database: Path) -> dict[str, float]:
    words = ["-m", "cli", "index", str(archive), "--database", str(database), "--quiet"]
    started, peak, parent = time.monotonic(), 0, 0
    with subprocess.Popen([sys.executable, *words]) as child:
        process = psutil.Process(child.pid)
        while child.poll() is None:
            try:
                total, own = _memory(process)
            except psutil.Error:
                break  # it ended meanwhile
            peak, parent = max(peak, total), max(parent, own)
            time.sleep(_SECONDS)
    if child.returncode:
        raise click.ClickException(f"the run ended with {child.returncode}")
    return {
        "peak_rss_mib": round(parent / 2**20, 1),
        "peak_rss_with_workers_mib": round(peak / 2**20, 1),
        "seconds": round(time.monotonic() - started, 1),
    }


@click.command()
@click.option("--count", "counts", multiple=True, type=int, default=(6_000, 60_000))
@click.option("--size", default=256, help="Side of the pictures in pixels.")
def main(counts: tuple[int, ...], size: int) -> None:
    """Print and keep the peaks."""
    runs = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "archive"
            simulate_pictures(archive, count, size=size)
            runs[str(count)] = _run(archive, Path(folder) / "database")
            click.echo(f"{count}: {runs[str(count)]}", err=True)
    first, last = runs[str(min(counts))], runs[str(max(counts))]
    write_result(
        "memory",
        {
            "command": "python -m benchmarks.memory",
            "picture_side": size,
            "runs": runs,
            "ratio": round(
                last["peak_rss_with_workers_mib"] / first["peak_rss_with_workers_mib"], 3
            ),
        },
    )


if __name__ == "__main__":
    main()
