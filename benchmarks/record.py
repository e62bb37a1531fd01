"""Results of a benchmark as JSON, with machine and date."""

from __future__ import annotations

import datetime
import json
import os
import platform
from pathlib import Path
from typing import Any

__all__ = ["write_result"]

#: Where results are kept: another folder than the committed one for a quick look.
RESULTS = Path(os.environ.get("CXRDEX_BENCHMARK_RESULTS", Path(__file__).parent / "results"))


def write_result(name: str, result: dict[str, Any]) -> None:
    """Print `result` and keep it as `<name>.json` in the folder of results."""
    import torch

    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    text = json.dumps(
        {
            "date": datetime.date.today().isoformat(),
            "machine": {
                "cpu": models[0] if models else platform.processor(),
                "cores": len(os.sched_getaffinity(0)),
                "instructions": torch.backends.cpu.get_cpu_capability(),
                "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
                "python": platform.python_version(),
                "torch": str(torch.__version__),
            },
            **result,
        },
        indent=1,
    )
    print(text)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(text + "\n")
