"""Does the memory of an index run grow with the number of files?

    python -m benchmarks.memory

Indexes 6,000 and 60,000 generated pictures, each into a new database, and compares the peak of
the resident memory of the whole process tree, in proportional set size (shared pages count once).
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
    """Bytes of the tree in proportional set size, and of the parent's resident set."""
    own = process.memory_info().rss
    total = 0
    for member in (process, *process.children(recursive=True)):
        try:
            total += member.memory_full_info().pss
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
        "peak_tree_mib": round(peak / 2**20, 1),
        "peak_parent_rss_mib": round(parent / 2**20, 1),
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
            "ratio": round(last["peak_tree_mib"] / first["peak_tree_mib"], 3),
        },
    )


if __name__ == "__main__":
    main()
