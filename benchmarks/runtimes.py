"""How fast and how true is each runtime?

    python -m benchmarks.runtimes ../shared/openi

On two threads and one set of val pictures: images per second of the CNN (the runtimes take turns,
medians are compared), cosines of the search vectors to those of torch in float32, and the share of
pictures with the same reading (view, findings and their words). ``torch_plain`` is the module as
torch runs it by itself: eager, planes first, without the C library being told to keep memory.
"""

from __future__ import annotations

import copy
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import torch

from benchmarks.record import write_result
from indexer.archive.decoding import DecodeSettings
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.reading import Predictor, Reading
from indexer.cascade.runtimes import Encoded, load
from indexer.cascade.runtimes.openvino_cpu import fastest_precision
from indexer.cascade.runtimes.reference import build_encoder
from indexer.datasets.dataset import load_canvases, load_examples

_BATCH = 32
_THREADS = 2

Encode = Callable[[npt.NDArray[np.uint8]], Encoded]


def _bf16(bundle: Bundle) -> Encode:
    """Torch's bf16 autocast, channels last."""
    encoder = build_encoder(bundle).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def encode(canvases: npt.NDArray[np.uint8]) -> Encoded:
        with torch.autocast("cpu", torch.bfloat16):
            outputs = encoder(torch.from_numpy(canvases)[:, None])
        parts = (outputs.embedding, outputs.logits, outputs.view)
        return Encoded(*(part.float().numpy() for part in parts))

    return encode


def _words(reading: Reading) -> tuple[str, list[str]]:
    return reading.view, [annotation.text for annotation in reading.annotations]


_PLAIN = f"""
import sys, time, numpy as np, torch
torch.set_num_threads({_THREADS})
from indexer.cascade.bundle import Bundle
from indexer.cascade.runtimes.reference import build_encoder
encoder, canvases = build_encoder(Bundle.load()), np.load(sys.argv[1])
with torch.inference_mode():
    for turn in range(3):
        started = time.perf_counter()
        encoder(torch.from_numpy(canvases)[:, None])
print(len(canvases) / (time.perf_counter() - started))
"""


def _plain(canvases: npt.NDArray[np.uint8]) -> float:
    """Images per second in a process of its own, as memory is kept in this one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "canvases.npy"
        np.save(path, canvases)
        command = [sys.executable, "-c", _PLAIN, str(path)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path, exists=True))
@click.option("--images", default=320, show_default=True)
def main(dataset: Path, images: int) -> None:
    """Print and keep speed and truth of each runtime."""
    torch.set_num_threads(_THREADS)
    bundle = Bundle.load()
    settings = DecodeSettings(
        bundle.size, bundle.squash, b"benchmark", borders=bundle.borders, thumbnail=0
    )
    with tempfile.TemporaryDirectory() as cache:
        examples = load_examples(dataset, "val")[:images]
        canvases = np.array(load_canvases(examples, settings, Path(cache)))
    plain = _plain(canvases[:_BATCH])
    encodes: dict[str, Encode] = {
        "torch_float32": load(bundle, "torch").encode,
        "torch_bf16": _bf16(bundle),
        "openvino_float32": load(bundle, "openvino", precision="float32").encode,
        "openvino_bf16": load(bundle, "openvino", precision="bf16").encode,
        "openvino_int8": load(bundle, "openvino", precision="int8").encode,
    }
    rates: dict[str, list[float]] = {name: [] for name in encodes}
    parts: dict[str, list[Encoded]] = {name: [] for name in encodes}
    for encode in encodes.values():
        encode(canvases[:_BATCH])
    for start in range(0, len(canvases), _BATCH):
        batch = canvases[start : start + _BATCH]
        for name, encode in encodes.items():
            started = time.perf_counter()
            parts[name].append(copy.deepcopy(encode(batch)))
            rates[name].append(len(batch) / (time.perf_counter() - started))
    reader = Predictor(bundle, Compute(device="cpu", runtime="torch"))
    written = {
        name: [_words(r) for p in part for r in reader.interpret(p)] for name, part in parts.items()
    }
    vectors = {name: np.concatenate([p.embedding for p in part]) for name, part in parts.items()}
    right, true = vectors["torch_float32"], written["torch_float32"]
    runtimes: dict[str, dict[str, Any]] = {"torch_plain": {"images_per_second": round(plain, 2)}}
    for name, own in vectors.items():
        lengths = np.linalg.norm(own, axis=1) * np.linalg.norm(right, axis=1)
        cosines = (own * right).sum(1) / lengths
        distances = np.linalg.norm(own - right, axis=1) / np.linalg.norm(right, axis=1)
        runtimes[name] = {
            "images_per_second": round(statistics.median(rates[name]), 2),
            "cosine_min": round(float(cosines.min()), 6),
            "cosine_mean": round(float(cosines.mean()), 6),
            "distance_max": round(float(distances.max()), 4),
            "equal_readings": round(
                float(np.mean([a == b for a, b in zip(written[name], true, strict=True)])), 4
            ),
        }
    write_result(
        "runtimes",
        {
            "command": "python -m benchmarks.runtimes ../shared/openi",
            "bundle": bundle.hash,
            "auto": fastest_precision(),
            "threads": _THREADS,
            "images": len(canvases),
            "runtimes": runtimes,
        },
    )


if __name__ == "__main__":
    main()
