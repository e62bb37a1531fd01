"""Pixels outside of the film: padding by its value, and what a display shutter covers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from indexer.archive.pictures.dicom.elements import integers, number, texts

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["covered", "inside", "joined", "padding_ranges", "raw_padding"]

Mask = npt.NDArray[np.bool_]

# Share of a film that a shutter or padding must leave; one that leaves less is wrong.
_MIN_SHOWN = 0.05
# Enough values for stable shares.
_SAMPLES = 250_000


def padding_ranges(dataset: Dataset) -> list[tuple[int, int]]:
    """First and last stored value of each range that marks pixels outside (C.7.5.1.1.2)."""
    first = number(dataset, "PixelPaddingValue")
    if first is None:
        return []
    last = number(dataset, "PixelPaddingRangeLimit")
    ends = [int(value) for value in (first, first if last is None else last)]
    if dataset.PixelRepresentation == 1:
        wrap = 1 << int(dataset.BitsAllocated)
        ends = [value - wrap if value >= wrap // 2 else value for value in ends]
    top = 1 << (int(dataset.BitsStored) - (dataset.PixelRepresentation == 1))
    if max(ends) >= top:
        # A value above the bits stored, which no decoded pixel has; see `raw_padding`.
        return []
    return [(min(ends), max(ends))]


def raw_padding(dataset: Dataset) -> Mask | None:
    """Pixels of native data whose words, unused high bits included, are the padding value."""
    value, allocated = number(dataset, "PixelPaddingValue"), int(dataset.BitsAllocated)
    if value is None or allocated not in (8, 16) or dataset.SamplesPerPixel != 1:
        return None
    if padding_ranges(dataset):
        return None
    order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
    kind = np.dtype(f"{order}u{allocated // 8}")
    size = int(dataset.Rows) * int(dataset.Columns)
    words = np.frombuffer(dataset.PixelData, kind, size).reshape(dataset.Rows, dataset.Columns)
    mask: Mask = words == int(value) % (1 << allocated)
    return mask if mask.any() else None


def covered(dataset: Dataset, rows: int, columns: int) -> tuple[Mask | None, tuple[str, ...]]:
    """Pixels that the display shutters (C.7.6.11) cover, and notes.

    None where there is no shutter, it covers nothing, or it would cover nearly everything.
    """
    shapes = {shape.upper() for shape in texts(dataset, "ShutterShape")}
    mask: Mask = np.zeros((rows, columns), dtype=bool)
    if "RECTANGULAR" in shapes:
        mask |= _rectangular(dataset, rows, columns)
    if "CIRCULAR" in shapes:
        mask |= _circular(dataset, rows, columns)
    if "POLYGONAL" in shapes:
        mask |= _polygonal(dataset, rows, columns)
    if "BITMAP" in shapes:
        mask |= _bitmap(dataset, rows, columns)
    if not mask.any():
        return None, ()
    if mask.mean() > 1 - _MIN_SHOWN:
        return None, ("shutter_ignored",)
    return mask, ()


def _rectangular(dataset: Dataset, rows: int, columns: int) -> Mask:
    """Beyond the edges, which are columns and rows counted from 1 and are themselves covered."""

    def edge(keyword: str, otherwise: int) -> int:
        value = number(dataset, keyword)
        return otherwise if value is None else int(value)

    left, right = edge("ShutterLeftVerticalEdge", 0), edge("ShutterRightVerticalEdge", columns + 1)
    top = edge("ShutterUpperHorizontalEdge", 0)
    bottom = edge("ShutterLowerHorizontalEdge", rows + 1)
    mask: Mask = np.ones((rows, columns), dtype=bool)
    mask[max(top, 0) : max(bottom - 1, 0), max(left, 0) : max(right - 1, 0)] = False
    return mask


def _circular(dataset: Dataset, rows: int, columns: int) -> Mask:
    center, radius = (
        integers(dataset, "CenterOfCircularShutter"),
        number(dataset, "RadiusOfCircularShutter"),
    )
    if len(center) != 2 or not radius:
        return np.zeros((rows, columns), dtype=bool)
    y, x = np.ogrid[1 : rows + 1, 1 : columns + 1]
    mask: Mask = (y - center[0]) ** 2 + (x - center[1]) ** 2 > radius**2
    return mask


def _polygonal(dataset: Dataset, rows: int, columns: int) -> Mask:
    from PIL import Image, ImageDraw

    values = integers(dataset, "VerticesOfThePolygonalShutter")
    if len(values) < 6 or len(values) % 2:
        return np.zeros((rows, columns), dtype=bool)
    # Row and column of each vertex.
    vertices = [(x - 1, y - 1) for y, x in zip(values[::2], values[1::2], strict=True)]
    canvas = Image.new("1", (columns, rows), 1)
    ImageDraw.Draw(canvas).polygon(vertices, fill=0, outline=0)
    mask: Mask = np.array(canvas, dtype=bool)
    return mask


def _bitmap(dataset: Dataset, rows: int, columns: int) -> Mask:
    """Where an overlay plane of the header has ones (C.7.6.15); it may begin anywhere."""
    mask: Mask = np.zeros((rows, columns), dtype=bool)
    group = int(number(dataset, "ShutterOverlayGroup") or 0)
    if group not in range(0x6000, 0x6100, 2):
        return mask
    high, wide = (int(number(dataset, (group, element)) or 0) for element in (0x10, 0x11))
    bits = getattr(dataset.get((group, 0x3000)), "value", None)
    if not isinstance(bits, bytes) or not 0 < high * wide <= 8 * len(bits):
        return mask
    ones = np.unpackbits(np.frombuffer(bits, np.uint8), count=high * wide, bitorder="little")
    plane = ones.reshape(high, wide)
    origin = integers(dataset, (group, 0x50))
    top, left = (place - 1 for place in origin) if len(origin) == 2 else (0, 0)
    shown = mask[max(top, 0) : max(top + high, 0), max(left, 0) : max(left + wide, 0)]
    plane = plane[max(-top, 0) :, max(-left, 0) :]
    shown |= plane[: shown.shape[0], : shown.shape[1]].astype(bool)
    return mask


def joined(*masks: npt.NDArray[Any] | None) -> Mask | None:
    """Pixels that any of some masks has."""
    found = [mask for mask in masks if mask is not None]
    return np.logical_or.reduce(found) if found else None


def inside(
    pixels: npt.NDArray[Any], mask: Mask | None, padding: Sequence[tuple[int, int]]
) -> npt.NDArray[Any]:
    """Some stored values of the film itself; of all of it where everything would be outside."""
    step = max(1, int((pixels.size / _SAMPLES) ** 0.5))
    values = pixels[::step, ::step]
    within = np.ones(values.shape, dtype=bool) if mask is None else ~mask[::step, ::step]
    for first, last in padding:
        within &= (values < first) | (values > last)
    return values[within] if within.any() else values
