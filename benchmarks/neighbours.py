"""How often do the nearest train images of an abnormal val image share a human finding with it?

    python -m benchmarks.neighbours ../shared/openi

Precision at 5 of the bundle's embedding, of the ImageNet features it started from, and of raw
32 x 32 pixels by cosine; chance is the share of all train images with a common term.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import timm
import torch

from benchmarks.record import write_result
from indexer.annotation import NORMAL
from indexer.archive.decoding import DecodeSettings
from indexer.cascade.bundle import Bundle
from indexer.cascade.reading import Predictor
from indexer.datasets.dataset import load_canvases, load_examples
from indexer.learning.pretrained import imagenet_weights

Canvases = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]


def _unit(vectors: npt.NDArray[np.floating]) -> Vectors:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = (vectors / np.maximum(length, 1e-9)).astype(np.float32)
    return unit


def _bundle_vectors(bundle: Bundle, parts: dict[str, Canvases]) -> dict[str, Vectors]:
    runtime = Predictor(bundle)
    return {
        part: np.stack([reading.embedding for reading in runtime.read(canvases)])
        for part, canvases in parts.items()
    }


@torch.inference_mode()
def _imagenet_vectors(backbone: str, parts: dict[str, Canvases]) -> dict[str, Vectors]:
    model = timm.create_model(backbone, pretrained=False, in_chans=1, num_classes=0).eval()
    model.load_state_dict(imagenet_weights(backbone))
    found = {}
    for part, canvases in parts.items():
        rows = []
        for start in range(0, len(canvases), 64):
            batch = torch.from_numpy(np.array(canvases[start : start + 64]))[:, None]
            rows.append(model(batch.float() / 127.5 - 1).numpy())
        found[part] = np.concatenate(rows)
    # Pooled activations are all positive: without their mean, every cosine is near 1.
    mean = found["train"].mean(0)
    return {part: _unit(vectors - mean) for part, vectors in found.items()}


def _pixel_vectors(parts: dict[str, Canvases]) -> dict[str, Vectors]:
    found = {}
    for part, canvases in parts.items():
        n, size = canvases.shape[:2]
        step = size // 32
        small = canvases.reshape(n, 32, step, 32, step).mean((2, 4)).reshape(n, -1)
        found[part] = _unit(small - small.mean(1, keepdims=True))
    return found


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path, exists=True))
@click.option("--bundle", "path", type=click.Path(path_type=Path))
def main(dataset: Path, path: Path | None) -> None:
    """Print and keep precision at 5."""
    bundle = Bundle.load(path)
    examples = {part: load_examples(dataset, part) for part in ("train", "val")}
    settings = DecodeSettings(
        bundle.size, bundle.squash, b"benchmark", borders=bundle.borders, thumbnail=0
    )
    with tempfile.TemporaryDirectory() as cache:
        parts = {p: load_canvases(rows, settings, Path(cache)) for p, rows in examples.items()}
    terms = {p: [{a.disease for a in e.annotations} for e in rows] for p, rows in examples.items()}
    queries = [row for row, line in enumerate(terms["val"]) if NORMAL not in line]
    relevant = np.array(
        [[bool(terms["val"][q] & line) for line in terms["train"]] for q in queries]
    )

    def precision(vectors: dict[str, Vectors]) -> float:
        near = np.argsort(-(vectors["val"][queries] @ vectors["train"].T), axis=1)[:, :5]
        return round(float(np.take_along_axis(relevant, near, axis=1).mean()), 4)

    write_result(
        "neighbours",
        {
            "command": "python -m benchmarks.neighbours ../shared/openi",
            "bundle": bundle.hash,
            "queries": len(queries),
            "gallery": len(terms["train"]),
            "precision_at_5": {
                "bundle": precision(_bundle_vectors(bundle, parts)),
                "imagenet": precision(
                    _imagenet_vectors(bundle.architecture["backbones"][0], parts)
                ),
                "raw_pixels_32": precision(_pixel_vectors(parts)),
                "chance": round(float(relevant.mean()), 4),
            },
        },
    )


if __name__ == "__main__":
    main()
