"""The small picture of a film that is kept and shown with results: a WebP file."""

from __future__ import annotations

import io

import numpy as np

from indexer.archive.scaling import resize
from indexer.archive.windowing import GreyArray, Grid

__all__ = ["make_thumbnail"]

_WEBP_QUALITY = 80


def make_thumbnail(picture: GreyArray, longest: int, grid: Grid | None = None) -> bytes:
    """WebP file of a picture, its longest side at most `longest` pixels; never enlarged."""
    from PIL import Image

    shape = (grid.rows, grid.columns) if grid else picture.shape
    scale = min(1.0, longest / max(shape))
    rows, columns = (max(1, round(side * scale)) for side in shape)
    buffer = io.BytesIO()
    coarse = 1 if grid else int(min(shape) / (2 * longest))
    if coarse > 1:
        # Averaging whole pixels first is faster, and no difference can be seen.
        picture = np.asarray(Image.fromarray(picture).reduce(coarse))
    small = Image.fromarray(resize(picture, rows, columns, grid))
    small.save(buffer, "WEBP", quality=_WEBP_QUALITY, method=2)
    return buffer.getvalue()
