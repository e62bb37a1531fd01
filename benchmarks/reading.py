"""What does the RNN add to the cost of reading an image?

    python -m benchmarks.reading ../shared/openi

On one core, by OpenVINO: the CNN alone beside the whole reading (CNN, thresholds, RNN with beam
search), of one image at a time and of batches, on val pictures; the two take turns, and medians are
compared.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from benchmarks.record import write_result
from indexer.archive.decoding import DecodeSettings
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.reading import Predictor
from indexer.datasets.dataset import load_canvases, load_examples

_ROUNDS = 12


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _compare(runtime: Predictor, canvases: npt.NDArray[np.uint8]) -> dict[str, float]:
    both: list[tuple[float, float]] = []
    for start in range(_ROUNDS + 1):
        batch = canvases[start * runtime.batch_size : (start + 1) * runtime.batch_size]
        alone = _seconds(lambda batch=batch: runtime.encode(batch))  # type: ignore[misc]
        whole = _seconds(lambda batch=batch: runtime.read(batch))  # type: ignore[misc]
        both.append((alone, whole))
    # The first round also pays for what is loaded lazily.
    alone, whole = (statistics.median(column) for column in zip(*both[1:], strict=True))
    return {
        "cnn_ms_per_image": round(alone / runtime.batch_size * 1000, 2),
        "reading_ms_per_image": round(whole / runtime.batch_size * 1000, 2),
        "ratio": round(whole / alone, 3),
    }


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path, exists=True))
@click.option("--bundle", "path", type=click.Path(path_type=Path))
def main(dataset: Path, path: Path | None) -> None:
    """Print and keep the cost of CNN and of the whole reading, and their ratio."""
    # The runtimes take one thread for each core that they may use.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    bundle = Bundle.load(path)
    settings = DecodeSettings(
        bundle.size, bundle.squash, b"benchmark", borders=bundle.borders, thumbnail=0
    )
    results = {}
    for batch_size in (1, 32):
        examples = load_examples(dataset, "val")[: (_ROUNDS + 1) * batch_size]
        with tempfile.TemporaryDirectory() as cache:
            canvases = np.array(load_canvases(examples, settings, Path(cache)))
        runtime = Predictor(bundle, Compute(device="cpu", runtime="openvino"), batch_size)
        results[f"batch_{batch_size}"] = _compare(runtime, canvases)
    write_result(
        "reading",
        {
            "command": "python -m benchmarks.reading ../shared/openi",
            "bundle": bundle.hash,
            "threads": 1,
            "runtime": f"openvino, {runtime.precision}",
            **results,
        },
    )


if __name__ == "__main__":
    main()
