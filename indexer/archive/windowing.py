"""Grey images of any depth: their pixel hash, and the 8-bit picture that the cascade looks at.

All steps from stored value to grey level (modality, window, sense, range) depend on the value
alone, so they are composed in floating point for every possible value and applied as one table.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from indexer.archive.limits import Limits
from indexer.errors import FailedImage

__all__ = [
    "CORNERS",
    "GreyImage",
    "Grid",
    "Picture",
    "Tone",
    "check_size",
    "grey_of",
    "pixel_digest",
    "render",
    "thumbnail",
    "to_canvas",
]

# Rows that are worked on at once.
_ROWS = 32
#: Numbered corners of an image: what becomes of them tells how it was flipped and turned.
CORNERS: npt.NDArray[np.uint8] = np.arange(4, dtype=np.uint8).reshape(2, 2)
# Share of the pixels beyond either end of the shown range.
_TAIL = 0.005
# Enough values for stable percentiles.
_SAMPLES = 250_000
# JPEG colour conversion turns equal channels into values a few levels apart.
_COLOUR_TOLERANCE = 0.02
_WEBP_QUALITY = 80

Values: TypeAlias = npt.NDArray[np.float64]
#: Grey levels 0..255, (rows, columns).
Picture: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Tone: TypeAlias = Callable[[npt.NDArray[Any]], Values]


@dataclass(frozen=True, slots=True)
class Grid:
    """How the pixels of a smaller copy lie on the whole image.

    A point that is `x` pixels from the image's upper end is ``x / step + top`` from the copy's.

    Parameters
    ----------
    rows, columns
        Size of the whole image.
    step
        Its pixels per pixel of the copy: 2, 4 ...
    top, left
        Pixels of the copy.
    """

    rows: int
    columns: int
    step: int
    top: float = 0.0
    left: float = 0.0

    def turned(self, corners: bytes) -> Grid:
        """The grid of the image that was turned so that `CORNERS` became `corners`."""
        top, left = self.top, self.left
        if corners[0] & 2:
            top = -(-self.rows // self.step) - self.rows / self.step - top
        if corners[0] & 1:
            left = -(-self.columns // self.step) - self.columns / self.step - left
        if corners[0] ^ corners[1] == 2:
            return Grid(self.columns, self.rows, self.step, left, top)
        return Grid(self.rows, self.columns, self.step, top, left)


@dataclass(frozen=True, slots=True)
class GreyImage:
    """One decoded grey image, upright.

    Parameters
    ----------
    pixels
        Stored values, (rows, columns), any integer type.
    bits
        Bits stored per value; the largest unsigned value is ``2**bits - 1``.
    inverted
        Whether small values are white, as in MONOCHROME1.
    tone
        Maps stored values to what the maker wants shown (modality, VOI); None for identity.
    padding
        First and last stored value that mark pixels outside the image.
    mirrored
        Whether the image was flipped to stand upright.
    grid
        Where `pixels` are a smaller copy of the image, how they lie on it.
    encoded
        What names the image in place of its pixels: digest of its codestream and its orientation.
    """

    pixels: npt.NDArray[Any]
    bits: int
    inverted: bool = False
    tone: Tone | None = None
    padding: tuple[int, int] | None = None
    mirrored: bool = False
    grid: Grid | None = None
    encoded: bytes | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the whole image, upright."""
        rows, columns = self.pixels.shape
        return (self.grid.rows, self.grid.columns) if self.grid else (rows, columns)


def check_size(rows: int, columns: int, most: int = Limits.pixels) -> None:
    """Refuse an image of no or of too many pixels, before memory is spent on it.

    Raises
    ------
    FailedImage
        ``undecodable_pixels`` or ``too_large``.
    """
    if rows < 1 or columns < 1:
        raise FailedImage("undecodable_pixels", f"{columns} x {rows} pixels; an image has some")
    if rows * columns > most:
        raise FailedImage(
            "too_large", f"{columns} x {rows} pixels; the limit for an image is {most} pixels"
        )


def grey_of(colour: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    """The grey image inside a (rows, columns, 3) array whose channels agree, else None.

    The green channel stands for all three: where they are equal it is exact, so grey stored as
    RGB has the hash of its grey twin.
    """
    low, high = colour.min(axis=2), colour.max(axis=2)
    tolerance = _COLOUR_TOLERANCE * max(int(high.max()), 1)
    apart = (high - low) > tolerance
    # A stray pixel of codec noise does not make a colour picture; one coloured mark does.
    return None if np.count_nonzero(apart) > apart.size * 1e-5 else colour[:, :, 1]


def pixel_digest(image: GreyImage) -> bytes:
    """BLAKE3 of an image's stored values, independent of how they were encoded.

    Values are taken in the MONOCHROME2 sense (``2**bits - 1 - value``, or ``-1 - value`` where
    signed), as little-endian int32 after the shape. Rescale and window are no part of it: they say
    how to look at the pixels, and a lossless copy in another format may lack them. An image that
    is known by its codestream (ADR 0009) has the BLAKE3 of that, its sense and its orientation.
    """
    signed = np.issubdtype(image.pixels.dtype, np.signedinteger)
    if image.encoded is not None:
        meaning = struct.pack("<??B", image.inverted, signed, image.bits)
        return blake3(b"encoded" + meaning + image.encoded).digest()
    top = -1 if signed else 2**image.bits - 1
    digest = blake3(struct.pack("<II", *image.pixels.shape))
    # By blocks that stay in the cache.
    for start in range(0, len(image.pixels), _ROWS):
        values = image.pixels[start : start + _ROWS].astype("<i4", order="C")
        if image.inverted:
            np.subtract(top, values, out=values)
        digest.update(values.view(np.uint8).data)
    return digest.digest()


def render(image: GreyImage) -> Picture:
    """8-bit picture of an image: bone white, the 0.5th to 99.5th percentile stretched to 0..255.

    Of a smaller copy of a deeper image the levels are not rounded yet. Padding is left out of the
    percentiles and shown black. A window that hides nearly all of the image is not used.

    Raises
    ------
    FailedImage
        ``blank_image``: all pixels are equal.
    """
    low, high = image.pixels.min(), image.pixels.max()
    if low == high:
        raise FailedImage("blank_image", "all pixels have one value; a radiograph has contrast")
    index, ramp = _indexed(image.pixels, int(low), int(high))
    step = max(1, int((index.size / _SAMPLES) ** 0.5))
    counts = np.bincount(index[::step, ::step].ravel(), minlength=ramp.size)
    outside = np.zeros(ramp.size, dtype=bool)
    if image.padding is not None:
        first, last = image.padding
        outside = (ramp >= first) & (ramp <= last)
        if counts[~outside].sum() == 0:
            outside[:] = False
    counts[outside] = 0
    sign = -1.0 if image.inverted else 1.0
    plain = sign * ramp.astype(np.float64)
    tones = plain if image.tone is None else sign * image.tone(ramp)
    limits = _robust_range(tones, counts)
    if limits[0] >= limits[1]:
        tones = plain
        limits = _robust_range(tones, counts)
    if limits[0] >= limits[1]:
        ends = sorted((sign * float(low), sign * float(high)))
        limits = ends[0], ends[1]
    level = np.clip((tones - limits[0]) / (limits[1] - limits[0]), 0.0, 1.0)
    level[outside] = 0.0
    # A smaller copy of a deep image has no noise left that would even out the rounding.
    if image.grid and image.bits > 8:
        return _look_up((level * 255.0).astype(np.float32), index)
    table = np.rint(level * 255.0).astype(np.uint8)
    return _look_up(table, index)


def _look_up(table: npt.NDArray[Any], index: npt.NDArray[Any]) -> npt.NDArray[Any]:
    picture = np.empty(index.shape, table.dtype)
    for start in range(0, len(index), _ROWS):
        rows = slice(start, start + _ROWS)
        np.take(table, index[rows], out=picture[rows], mode="clip")
    return picture


def _indexed(
    pixels: npt.NDArray[Any], low: int, high: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Indices (rows, columns) into a ramp of at most 65,536 stored values."""
    if pixels.dtype.itemsize <= 2:
        unsigned = np.dtype(f"u{pixels.dtype.itemsize}")
        ramp = np.arange(2 ** (8 * unsigned.itemsize), dtype=unsigned)
        # A signed value's bit pattern is its index: nothing is copied.
        return pixels.view(unsigned), ramp.view(pixels.dtype)
    size = min(high - low, 65535) + 1
    ramp = np.rint(np.linspace(low, high, size)).astype(np.int64)
    scaled = (pixels.astype(np.float64) - low) * ((size - 1) / (high - low))
    return np.rint(scaled).astype(np.uint16), ramp


def _robust_range(tones: Values, counts: npt.NDArray[np.int64]) -> tuple[float, float]:
    seen = np.flatnonzero(counts)
    order = seen[np.argsort(tones[seen], kind="stable")]
    below = np.cumsum(counts[order])
    rank = int(_TAIL * (below[-1] - 1))
    # Counted from both ends alike, so that an inverted twin gets the same picture.
    ranks = np.searchsorted(below, [rank, below[-1] - 1 - rank], side="right")
    low, high = tones[order[ranks]]
    return float(low), float(high)


def to_canvas(
    picture: Picture, size: int, squash: bool, grid: Grid | None = None
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
        return _resize(picture, size, size, grid)
    scale = size / max(rows, columns)
    inner = _resize(picture, max(1, round(rows * scale)), max(1, round(columns * scale)), grid)
    canvas = np.zeros((size, size), dtype=np.uint8)
    top, left = (size - inner.shape[0]) // 2, (size - inner.shape[1]) // 2
    canvas[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return canvas


def thumbnail(picture: Picture, longest: int, grid: Grid | None = None) -> bytes:
    """WebP file of a picture, its longest side at most `longest` pixels; never enlarged."""
    from PIL import Image

    shape = (grid.rows, grid.columns) if grid else picture.shape
    scale = min(1.0, longest / max(shape))
    rows, columns = (max(1, round(side * scale)) for side in shape)
    buffer = io.BytesIO()
    coarse = 1 if grid else int(min(shape) / (2 * longest))
    if coarse > 1:
        # By whole pixels first, which is faster and no worse for looking at.
        picture = np.asarray(Image.fromarray(picture).reduce(coarse))
    small = Image.fromarray(_resize(picture, rows, columns, grid))
    small.save(buffer, "WEBP", quality=_WEBP_QUALITY, method=2)
    return buffer.getvalue()


def _resize(picture: Picture, rows: int, columns: int, grid: Grid | None) -> npt.NDArray[np.uint8]:
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
