"""Plain grey pictures of the radiograph, in any number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from indexer.simulation.radiograph import radiograph

__all__ = ["simulate_pictures"]


def simulate_pictures(folder: Path, count: int, seed: int = 0, size: int = 256) -> None:
    """Write `count` different grey pictures of the same radiograph, each fourth one as PNG.

    Parameters
    ----------
    folder
        Created if missing; gets one subfolder for each 1,000 pictures.
    size
        Side of the square pictures in pixels.

    Raises
    ------
    MissingExtraError
        ``pydicom-data`` is not installed.
    """
    canvas = Image.fromarray((radiograph(size + size // 4) * 255).astype(np.uint8))
    noise = np.random.default_rng(seed).normal(0, 3, (2 * size, 2 * size)).astype(np.int8)
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        picture = canvas.transform(
            (size, size),
            Image.Transform.AFFINE,
            _affine(rng, canvas.size, size),
            Image.Resampling.BILINEAR,
        )
        x, y = rng.integers(0, size, 2)
        grain = noise[y : y + size, x : x + size]
        pixels = np.clip(np.asarray(picture, np.int16) + grain, 0, 255).astype(np.uint8)
        suffix = ".png" if index % 4 == 3 else ".jpg"
        path = folder / f"{index // 1000:04d}" / f"picture{index:07d}{suffix}"
        if index % 1000 == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, compress_level=1)


def _affine(
    rng: np.random.Generator, source: tuple[int, int], size: int
) -> tuple[float, float, float, float, float, float]:
    """PIL's affine from a square of `size` into the middle of `source`, slightly turned."""
    angle = rng.uniform(-0.06, 0.06)
    zoom_x, zoom_y = rng.uniform(0.84, 0.97, 2) * source / size
    a, b = zoom_x * np.cos(angle), -zoom_x * np.sin(angle)
    c, d = zoom_y * np.sin(angle), zoom_y * np.cos(angle)
    shift_x, shift_y = (np.array(source) / 2) * (1 + rng.uniform(-0.03, 0.03, 2))
    middle = size / 2
    return (
        *(float(a), float(b), float(shift_x - (a + b) * middle)),
        *(float(c), float(d), float(shift_y - (c + d) * middle)),
    )
