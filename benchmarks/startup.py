"""How long until `cxrdex --help`, until a picture is read, and until a search by meaning answers?

    python -m benchmarks.startup [--database DB] [--runs 20]

Each is a new process. "Reading" imports, loads the bundle onto the runtime `auto` and reads one
picture; the first such run, which exports the network, is not counted. "Meaning" is
``cxrdex search --mode semantic`` in a database: of 2,000 made images, which takes a minute, unless
another one is given. The first start of each stands by itself: the first search by meaning in a
database that no `cxrdex index` made encodes the annotations.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.made_database import make_database
from benchmarks.record import write_result

_MADE = 2000
_SENTENCE = "fluid around the left lung"
_CXRDEX = str(Path(sys.executable).with_name("cxrdex"))
_READ = """
import numpy as np
from indexer.cascade.bundle import Bundle
from indexer.cascade.reading import Predictor
bundle = Bundle.load()
Predictor(bundle).read(np.zeros((1, bundle.size, bundle.size), np.uint8))
"""


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def _times(command: list[str], runs: int) -> dict[str, float]:
    """Of some runs after a first one, which is told by itself."""
    first = _seconds(command)
    seconds = [_seconds(command) for _ in range(runs)]
    return {
        "first_seconds": round(first, 3),
        "median_seconds": round(statistics.median(seconds), 3),
        "worst_seconds": round(max(seconds), 3),
    }


def _meaning(database: Path, runs: int) -> dict[str, Any]:
    command = [_CXRDEX, "search", _SENTENCE, "--mode", "semantic", "--database", str(database)]
    return _times(command, runs)


@click.command()
@click.option(
    "--database",
    type=click.Path(path_type=Path, exists=True),
    help="Where to search by meaning.  [default: one that is made]",
)
@click.option("--runs", type=click.IntRange(1), default=20)
def main(database: Path | None, runs: int) -> None:
    """Print and keep the times of some starts each, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("CXRDEX_KEY_FILE", str(Path(folder) / "key"))
        if database is None:
            database = Path(folder) / "database"
            make_database(database, _MADE)
        write_result(
            "startup",
            {
                "command": "python -m benchmarks.startup",
                "runs": runs,
                **_times([_CXRDEX, "--help"], runs),
                "reading": _times([sys.executable, "-c", _READ], runs),
                "meaning": _meaning(database, runs),
            },
        )


if __name__ == "__main__":
    main()
