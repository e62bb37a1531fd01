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
    instructions = torch.backends.cpu.get_cpu_capability()
    if any(line.startswith("flags") and "amx_bf16" in line.split() for line in lines):
        instructions += ", AMX"
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    text = json.dumps(
        {
            "date": datetime.date.today().isoformat(),
            "machine": {
                "cpu": models[0] if models else platform.processor(),
                "cores": len(os.sched_getaffinity(0)),
                "instructions": instructions,
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
