"""Pictures scaled, as to the model's canvas."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.archive.windowing import GreyArray, Grid, Values

__all__ = ["fitted", "resize", "resize_deep", "to_canvas"]


def to_canvas(
    picture: GreyArray, size: int, squash: bool, grid: Grid | None = None
) -> npt.NDArray[np.uint8]:
    """A picture scaled to (size, size): squashed, or centred on black with its aspect ratio kept.

    Shrinking averages over areas; a picture that has the right size is returned unchanged.

    Parameters
    ----------
    picture
        (rows, columns).
    size
        Pixels.
    squash
        Whether the aspect ratio may change.
    grid
        Where `picture` is a smaller copy, how it lies on the whole one.
    """
    rows, columns = (grid.rows, grid.columns) if grid else picture.shape
    if squash:
        return resize(picture, size, size, grid)
    inner = resize(picture, *fitted(rows, columns, size), grid)
    canvas = np.zeros((size, size), dtype=np.uint8)
    top, left = (size - inner.shape[0]) // 2, (size - inner.shape[1]) // 2
    canvas[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return canvas


def fitted(rows: int, columns: int, size: int) -> tuple[int, int]:
    """Rows and columns of a picture whose longer side is `size`."""
    scale = size / max(rows, columns)
    return max(1, round(rows * scale)), max(1, round(columns * scale))


def resize_deep(
    picture: npt.NDArray[np.float32], rows: int, columns: int, grid: Grid | None
) -> npt.NDArray[np.float32]:
    """As `resize`, without rounding greys or ending them at 0 and 255."""
    if grid is not None:
        lines = _means(picture, _ends(rows, grid.rows) / grid.step + grid.top)
        return _means(lines.T, _ends(columns, grid.columns) / grid.step + grid.left).T
    from PIL import Image

    shrinks = rows <= picture.shape[0] and columns <= picture.shape[1]
    way = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(picture).resize((columns, rows), way))


def resize(picture: GreyArray, rows: int, columns: int, grid: Grid | None) -> npt.NDArray[np.uint8]:
    """A picture of (rows, columns); shrinking averages over areas.

    Parameters
    ----------
    grid
        Where `picture` is a smaller copy, how it lies on the whole one.
    """
    if grid is not None:
        lines = _means(picture, _ends(rows, grid.rows) / grid.step + grid.top)
        means = _means(lines.T, _ends(columns, grid.columns) / grid.step + grid.left).T
        return np.rint(means).astype(np.uint8)
    picture = picture.astype(np.uint8, copy=False)
    if picture.shape == (rows, columns):
        return picture
    from PIL import Image

    shrinks = rows <= picture.shape[0] and columns <= picture.shape[1]
    way = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(picture).resize((columns, rows), way))


def _ends(count: int, length: int) -> Values:
    """Where `count` equal parts of `length` pixels begin and end: whole pixels, as in Pillow."""
    ends: Values = np.floor(np.arange(count + 1) * (length / count) + 0.5)
    return ends


def _means(values: npt.NDArray[Any], ends: Values) -> npt.NDArray[np.float32]:
    """Means of the rows between neighbouring `ends`, which need not lie between two rows."""
    ends = np.clip(ends, 0, len(values)).astype(np.float32)
    row = np.minimum(ends.astype(np.intp), len(values) - 1)
    parts = (ends - row)[:, None] * values[row]
    sums = np.add.reduceat(values, row, axis=0, dtype=np.float32)[:-1] + np.diff(parts, axis=0)
    means: npt.NDArray[np.float32] = sums / np.diff(ends)[:, None]
    return means
