"""How long does `cxrdex --help` take, and how long until a picture can be read?

python -m benchmarks.startup

The second is a process that imports, loads the bundle onto the runtime `auto` and reads one
picture; the first such run, which exports the network, is not counted.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.record import write_result

_RUNS = 20


_READ = """
import numpy as np
from indexer.cascade.bundle import Bundle
from indexer.cascade.reading import Predictor
bundle = Bundle.load()
Predictor(bundle).read(np.zeros((1, bundle.size, bundle.size), np.uint8))
"""


def _times(command: list[str]) -> dict[str, float]:
    seconds = []
    subprocess.run(command, check=True, capture_output=True)
    for _ in range(_RUNS):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    return {
        "median_seconds": round(statistics.median(seconds), 3),
        "worst_seconds": round(max(seconds), 3),
    }


def main() -> None:
    """Print and keep the times of 20 starts each, in seconds."""
    write_result(
        "startup",
        {
            "command": "python -m benchmarks.startup",
            "runs": _RUNS,
            **_times([str(Path(sys.executable).with_name("cxrdex")), "--help"]),
            "reading": _times([sys.executable, "-c", _READ]),
        },
    )


if __name__ == "__main__":
    main()
