"""Do search vectors stay the same when JPEG and JPEG 2000 are decoded at a fraction of the size?

    python -m benchmarks.reduced ../shared/openi

Val radiographs are enlarged to 2500 x 2000 pixels of 12 bits with the grain of a film, encoded, and
decoded both ways; the cosine of the two search vectors of each, by the shipped model in float32.
Radiographs that are JPEG 2000 by themselves are taken from the folder `dicom` beside, if any.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.archives import COLUMNS, ROWS
from benchmarks.record import write_result
from indexer.archive.decoding import DecodeSettings, decode
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.reading import Predictor
from indexer.datasets.dataset import load_examples
from indexer.errors import FailedImage, SkippedImage
from indexer.simulation.dicom_files import PixelEncoding, dicom_file
from indexer.simulation.studies import image_header, study_header

_ENCODINGS = {
    "JPEG 2000 lossless, 12 bits": PixelEncoding("JPEG2000Lossless"),
    "JPEG 2000 lossy, 12 bits": PixelEncoding("JPEG2000"),
    "JPEG baseline, 8 bits": PixelEncoding("JPEGBaseline8Bit", 8),
}
_GRAIN = 0.008
_PLAIN = 16


def _film(path: Path, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """A picture enlarged, with grain."""
    picture = Image.open(path).convert("L").resize((COLUMNS, ROWS), Image.Resampling.BICUBIC)
    film = np.asarray(picture, np.float32) / 255
    grain = rng.standard_normal(film.shape, np.float32) * (0.4 + film)
    enlarged: npt.NDArray[np.float32] = np.clip(film + _GRAIN * grain, 0, 1)
    return enlarged


def _both(data: bytes, settings: DecodeSettings) -> npt.NDArray[np.uint8]:
    """The canvases of a file decoded at a fraction of its size, and in full."""
    return np.stack(
        [decode(data, "film.dcm", replace(settings, reduce=r)).canvas for r in (True, False)]
    )


def _real(folder: Path, settings: DecodeSettings) -> Iterator[npt.NDArray[np.uint8]]:
    """Canvases of the radiographs of a folder that are JPEG 2000 by themselves."""
    from pydicom import dcmread

    for path in sorted(folder.rglob("*.dcm")) if folder.is_dir() else ():
        header = dcmread(path, stop_before_pixels=True)
        if "JPEG 2000" in header.file_meta.TransferSyntaxUID.name:
            try:
                yield _both(path.read_bytes(), settings)
            except (SkippedImage, FailedImage) as error:
                click.echo(f"{path.name}: {error.reason}", err=True)


def _cosines(runtime: Predictor, pairs: list[npt.NDArray[np.uint8]]) -> dict[str, float]:
    cosines, levels = [], []
    for pair in pairs:
        ours, full = (r.embedding / np.linalg.norm(r.embedding) for r in runtime.read(pair))
        cosines.append(float(ours @ full))
        levels.append(np.abs(pair[0].astype(int) - pair[1].astype(int)))
    apart = np.stack(levels)
    return {
        "films": len(cosines),
        "cosine_min": round(min(cosines), 5),
        "cosine_mean": round(float(np.mean(cosines)), 5),
        "grey_levels_apart_mean": round(float(apart.mean()), 3),
        "over_one_level_apart": round(float((apart > 1).mean()), 5),
    }


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path, exists=True))
@click.option("--images", default=48, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(dataset: Path, images: int, seed: int) -> None:
    """Print and keep the cosines."""
    rng = np.random.default_rng(seed)
    bundle = Bundle.load()
    runtime = Predictor(bundle, Compute(precision="float32"), batch_size=2)
    settings = DecodeSettings(bundle.size, bundle.squash, b"benchmark", borders=bundle.borders)
    examples = load_examples(dataset, "val")
    chosen = rng.choice(len(examples), images, replace=False)
    header = study_header(_PLAIN, seed)
    pairs: dict[str, list[npt.NDArray[np.uint8]]] = {name: [] for name in _ENCODINGS}
    for number in chosen:
        film = _film(examples[number].path, rng)
        tags = header | image_header(header, _PLAIN, int(number) + 1)
        for name, encoding in _ENCODINGS.items():
            pairs[name].append(_both(dicom_file(film, encoding, tags), settings))
    result: dict[str, Any] = {name: _cosines(runtime, own) for name, own in pairs.items()}
    real = list(_real(dataset.parent / "dicom", settings))
    if real:
        result["JPEG 2000 as it was found"] = _cosines(runtime, real)
    command = "python -m benchmarks.reduced ../shared/openi"
    write_result("reduced", {"command": command, "bundle": bundle.hash, "encodings": result})


if __name__ == "__main__":
    main()
