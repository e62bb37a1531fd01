"""The script that one would write without cxrdex: for the benchmarks to compare with.

    python -m benchmarks.rival ARCHIVE OUTPUT

Reads every file of a folder with pydicom or Pillow, runs the bundle's CNN over batches of them in
eager mode, and fills a flat FAISS index. No skipping, no reports, no words, no thumbnails and no
going on after an interruption.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import click
import faiss
import numpy as np
import numpy.typing as npt
import pydicom
import torch
from PIL import Image

from indexer.cascade.bundle import Bundle
from indexer.cascade.networks.encoder import Encoder

_BATCH = 32


def load_encoder(bundle: Bundle) -> Encoder:
    """The bundle's CNN in plain PyTorch."""
    labels, shape = bundle.labels, bundle.architecture
    encoder = Encoder(
        shape["backbones"],
        bundle.dimensions,
        labels.scored,
        shape["sentences"],
    )
    prefix = "encoder."
    encoder.load_state_dict(
        {
            name.removeprefix(prefix): torch.from_numpy(array)
            for name, array in bundle.weights().items()
            if name.startswith(prefix)
        }
    )
    return encoder.eval()


def read_picture(path: Path, size: int) -> npt.NDArray[np.uint8]:
    """A file as grey values of a square."""
    if path.suffix == ".dcm":
        image = pydicom.dcmread(path)
        pixels = image.pixel_array.astype(np.float32)
        low, high = pixels.min(), pixels.max()
        pixels = (pixels - low) / max(high - low, 1) * 255
        if image.PhotometricInterpretation == "MONOCHROME1":
            pixels = 255 - pixels
        picture = Image.fromarray(pixels.astype(np.uint8))
    else:
        picture = Image.open(path).convert("L")
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))


def _batches(paths: list[Path]) -> Iterator[list[Path]]:
    for start in range(0, len(paths), _BATCH):
        yield paths[start : start + _BATCH]


@click.command()
@click.argument("archive", type=click.Path(path_type=Path, exists=True))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--limit", type=int)
def main(archive: Path, output: Path, limit: int | None) -> None:
    """Print how many images were read in how many seconds, as JSON."""
    bundle = Bundle.load()
    encoder = load_encoder(bundle)
    paths = sorted(path for path in archive.rglob("*") if path.is_file())[:limit]
    index = faiss.IndexFlatIP(bundle.dimensions)
    started = time.perf_counter()
    with torch.inference_mode(), (output.with_suffix(".jsonl")).open("w") as lines:
        for batch in _batches(paths):
            pictures = np.stack([read_picture(path, bundle.size) for path in batch])
            outputs = encoder(torch.from_numpy(pictures)[:, None])
            index.add(outputs.embedding.numpy())
            chances = outputs.logits[:, : len(bundle.findings)].sigmoid().numpy()
            for path, row in zip(batch, chances, strict=True):
                scores = dict(zip(bundle.findings, row.tolist(), strict=True))
                lines.write(json.dumps({"path": str(path), "scores": scores}) + "\n")
    faiss.write_index(index, str(output.with_suffix(".faiss")))
    seconds = time.perf_counter() - started
    click.echo(json.dumps({"images": len(paths), "seconds": round(seconds, 2)}))


if __name__ == "__main__":
    main()
