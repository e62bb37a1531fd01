"""Every benchmark of `docs/performance.md`, one after the other.

    python -m benchmarks.all [--full] [--openi ../shared/openi]

Without ``--full`` small sizes, in minutes, and results under ``build/benchmarks``; with it the
sizes of the page, in hours, and results where the page takes them from. Those that need Open-i are
left out where it is not.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from benchmarks.tables import PAGE, render

_QUICK = Path(__file__).parents[1] / "build" / "benchmarks"
#: Module, whether it needs Open-i, options of the small and of the full size.
_BENCHMARKS: tuple[tuple[str, bool, str, str], ...] = (
    ("startup", False, "--runs 5", ""),
    ("runtimes", True, "--images 96", ""),
    ("reading", True, "", ""),
    ("training", False, "--steps 3", ""),
    ("decoding", False, "--rounds 1", ""),
    ("index_run", False, "--count 40", ""),
    ("scale", False, "--count 3000", ""),
    ("vectors", False, "--largest 100000", ""),
    ("text_stores", False, "--count 20000 --repeats 20", ""),
    (
        "serving",
        False,
        "--database build/benchmarks/served --images 20000 --seconds 10 --requests 1000",
        "--database build/benchmarks/served_full",
    ),
    ("serving_while_indexing", False, "--images 100", ""),
)


@click.command()
@click.option("--full", is_flag=True, help="The sizes of docs/performance.md.")
@click.option("--openi", type=click.Path(path_type=Path), default=Path("../shared/openi"))
def main(full: bool, openi: Path) -> None:
    """Run them and, if full, write the page's tables anew."""
    environment = dict(os.environ)
    if not full:
        environment["CXRDEX_BENCHMARK_RESULTS"] = str(_QUICK)
    for name, needs_openi, small, large in _BENCHMARKS:
        if needs_openi and not openi.is_dir():
            click.echo(f"{name}: left out, as {openi} is not there", err=True)
            continue
        words = [sys.executable, "-m", f"benchmarks.{name}", *(large if full else small).split()]
        if needs_openi:
            words.append(str(openi))
        elif name == "index_run" and openi.is_dir():
            words += ["--openi", str(openi)]
        click.echo(" ".join(words[1:]), err=True)
        subprocess.run(words, check=True, env=environment)
    if full:
        PAGE.write_text(render(PAGE.read_text()))


if __name__ == "__main__":
    main()
