"""How long does `cxrdex --help` take?

python -m benchmarks.startup
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.record import write_result

_RUNS = 20


def main() -> None:
    """Print and keep the times of 20 starts, in seconds."""
    command = [str(Path(sys.executable).with_name("cxrdex")), "--help"]
    seconds = []
    for _ in range(_RUNS):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    write_result(
        "startup",
        {
            "command": "python -m benchmarks.startup",
            "runs": _RUNS,
            "median_seconds": round(statistics.median(seconds), 3),
            "worst_seconds": round(max(seconds), 3),
        },
    )


if __name__ == "__main__":
    main()
