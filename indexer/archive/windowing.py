"""Grey images of any depth: their pixel hash, and the 8-bit picture that the cascade looks at.

All steps from stored value to grey level (modality, window, sense, range) depend on the value
alone, so they are composed in floating point for every possible value and applied as one table.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from indexer.archive.limits import Limits
from indexer.archive.plausibility import signed_otherwise
from indexer.errors import FailedImage

__all__ = [
    "CORNERS",
    "GreyArray",
    "GreyImage",
    "Grid",
    "Tone",
    "Values",
    "check_size",
    "develop",
    "develop_deep",
    "grey_channel",
    "pixel_digest",
    "render",
]

# Rows in a block that stays in the processor's cache.
_ROWS = 32
#: Numbered corners of an image: what becomes of them tells how it was flipped and turned.
CORNERS: npt.NDArray[np.uint8] = np.arange(4, dtype=np.uint8).reshape(2, 2)
# Share of the pixels beyond either end of the shown range.
_TAIL = 0.005
# An eighth of the film on each side is its margin, which may show no patient.
_MARGIN = 8
# Padding that leaves a smaller share of the film than this is wrong.
_MIN_SHOWN = 0.05
# A window hides the film if a smaller share of its middle than this is neither black nor white.
_HIDDEN = 0.2
# Enough values for stable percentiles.
_SAMPLES = 250_000
# JPEG colour conversion turns equal channels into values a few levels apart.
_COLOUR_TOLERANCE = 0.02

Values: TypeAlias = npt.NDArray[np.float64]
#: Grey levels 0..255, (rows, columns).
GreyArray: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
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
    tones
        Ways to map stored values to what the maker wants shown (modality, VOI), the preferred one
        first and the plainest one last; none for identity.
    padding
        First and last stored value of each range that marks pixels outside the image.
    outside
        Further pixels outside the image, (rows, columns); only of an image that is not reduced.
    exchanged
        Whether black and white are to be exchanged, whatever `inverted` says.
    mirrored
        Whether the image was flipped to stand upright.
    grid
        Where `pixels` are a smaller copy of the image, how they lie on it.
    encoded
        What names the image in place of its pixels: digest of its codestream and its orientation.
    notes
        What was odd about it so far (`indexer.archive.notes`).
    """

    pixels: npt.NDArray[Any]
    bits: int
    inverted: bool = False
    tones: tuple[Tone, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()
    outside: npt.NDArray[np.bool_] | None = None
    exchanged: bool = False
    mirrored: bool = False
    grid: Grid | None = None
    encoded: bytes | None = None
    notes: tuple[str, ...] = ()

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


def grey_channel(colour: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
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
    # In blocks that stay in the cache.
    for start in range(0, len(image.pixels), _ROWS):
        values = image.pixels[start : start + _ROWS].astype("<i4", order="C")
        if image.inverted:
            np.subtract(top, values, out=values)
        digest.update(values.view(np.uint8).data)
    return digest.digest()


def render(image: GreyImage) -> GreyArray:
    """The picture that `develop` makes of an image."""
    return develop(image)[0]


def develop_deep(image: GreyImage) -> npt.NDArray[np.float32]:
    """The picture of `develop` with all of an image's depth: its greys are not rounded and go on
    below 0 and above 255, to -255 and 510. What lies outside the image is as black as that."""
    level, index, outside, _ = _levels(image)
    level = np.clip(level, -1.0, 2.0)
    level[outside] = -1.0
    picture = _look_up((level * 255.0).astype(np.float32), index)
    if image.outside is not None:
        picture[image.outside] = -255.0
    return picture


def develop(image: GreyImage) -> tuple[GreyArray, tuple[str, ...]]:
    """8-bit picture of an image: bone white, the 0.5th to 99.5th percentile stretched to 0..255.

    Of a smaller copy of a deeper image the levels are not rounded yet. What lies outside the image
    is left out of the percentiles and shown black. Padding that would cover nearly all of the
    image, and a window or table that hides most of it, are not used.

    Returns
    -------
    tuple
        The picture, and notes (`indexer.archive.notes`) on what was not taken as the header has it.

    Raises
    ------
    FailedImage
        ``blank_image``: all pixels are equal.
    """
    level, index, outside, notes = _levels(image)
    level = np.clip(level, 0.0, 1.0)
    level[outside] = 0.0
    # A smaller copy of a deep image has no noise left that would even out the rounding.
    if image.grid and image.bits > 8:
        picture: GreyArray = _look_up((level * 255.0).astype(np.float32), index)
    else:
        picture = _look_up(np.rint(level * 255.0).astype(np.uint8), index)
    if image.outside is not None:
        picture[image.outside] = 0
    return picture, tuple(dict.fromkeys(notes))


def _levels(
    image: GreyImage,
) -> tuple[Values, npt.NDArray[Any], npt.NDArray[np.bool_], list[str]]:
    """For each stored value where it lies between black, 0, and white, 1, or beyond; for each pixel
    the place of its value; which values are padding; and notes."""
    low, high = image.pixels.min(), image.pixels.max()
    if low == high:
        raise FailedImage("blank_image", "all pixels have one value; a radiograph has contrast")
    index, ramp = _indexed(image.pixels, int(low), int(high))
    step = max(1, int((index.size / _SAMPLES) ** 0.5))
    thinned = index[::step, ::step]
    inside = None if image.outside is None else ~image.outside[::step, ::step]
    # The middle is looked at where there are several ways to show the film.
    apart = len(image.tones) > 1
    counts, middle = _histograms(thinned, ramp.size, inside, apart=apart)
    notes = list(image.notes)
    outside = _padded(image, ramp, counts, notes)
    counts[outside] = middle[outside] = 0
    values = ramp.astype(np.float64)
    if resigned := signed_otherwise(image.pixels, image.bits):
        values = resigned(values)
        notes.append("sign_as_found")
    sign = -1.0 if image.inverted != image.exchanged else 1.0
    tones, limits = _shown(image.tones, values, sign, counts, middle, notes)
    if limits[0] >= limits[1]:
        tones = sign * values
        seen = tones[counts > 0]
        limits = float(seen.min()), float(seen.max())
    if limits[0] >= limits[1]:
        ends = sorted((sign * float(low), sign * float(high)))
        limits = ends[0], ends[1]
    return (tones - limits[0]) / (limits[1] - limits[0]), index, outside, notes


def _histograms(
    index: npt.NDArray[Any], size: int, inside: npt.NDArray[np.bool_] | None, *, apart: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """How often each value is in an image, and how often in its middle (or, unless `apart`, in all
    of it)."""

    def within(*part: slice) -> npt.NDArray[Any]:
        values = index[part]
        return values.ravel() if inside is None else values[inside[part]]

    if not apart:
        counts = np.bincount(within(slice(None)), minlength=size)
        return counts, counts
    rows, columns = (side // _MARGIN for side in index.shape)
    inner_rows = slice(rows, index.shape[0] - rows)
    middle = np.bincount(
        within(inner_rows, slice(columns, index.shape[1] - columns)), minlength=size
    )
    # The rim alone, so that no pixel is counted twice.
    rim = (
        within(slice(0, rows)),
        within(slice(index.shape[0] - rows, None)),
        within(inner_rows, slice(0, columns)),
        within(inner_rows, slice(index.shape[1] - columns, None)),
    )
    return middle + np.bincount(np.concatenate(rim), minlength=size), middle


def _padded(
    image: GreyImage,
    ramp: npt.NDArray[Any],
    counts: npt.NDArray[np.int64],
    notes: list[str],
) -> npt.NDArray[np.bool_]:
    """Values that are padding, unless nearly all pixels would be."""
    outside = np.zeros(ramp.size, dtype=bool)
    for first, last in image.padding:
        outside |= (ramp >= first) & (ramp <= last)
    if counts[~outside].sum() < _MIN_SHOWN * counts.sum():
        notes.append("padding_ignored")
        outside[:] = False
    return outside


def _shown(
    ways: tuple[Tone, ...],
    values: Values,
    sign: float,
    counts: npt.NDArray[np.int64],
    middle: npt.NDArray[np.int64],
    notes: list[str],
) -> tuple[Values, tuple[float, float]]:
    """Grey levels by the first way that does not hide the film, and which of them are shown."""
    candidates = [sign * way(values) for way in ways[:1]] or [sign * values]
    tones, limits = candidates[0], _robust_range(candidates[0], counts)
    if len(ways) < 2 or _share(tones, limits, middle) >= _HIDDEN:
        return tones, limits
    plain = sign * ways[-1](values)
    plain_limits = _robust_range(plain, counts)
    enough = min(_HIDDEN, _HIDDEN * _share(plain, plain_limits, middle))
    for way in ways[:-1]:
        tones = sign * way(values)
        limits = _robust_range(tones, counts)
        if _share(tones, limits, middle) >= enough:
            break
        if "window_ignored" not in notes:
            notes.append("window_ignored")
    else:
        return plain, plain_limits
    return tones, limits


def _share(tones: Values, limits: tuple[float, float], counts: npt.NDArray[np.int64]) -> float:
    """Part of the pixels that are neither all black nor all white."""
    between = (tones > limits[0]) & (tones < limits[1])
    return float(counts[between].sum() / max(counts.sum(), 1))


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
        # For 12 bits, a table for all 16 would be sixteen times as long as needed.
        short = low >= 0 and pixels.dtype.isnative
        top = high if short else 2 ** (8 * unsigned.itemsize) - 1
        ramp = np.arange(top + 1, dtype=unsigned)
        # A value's bit pattern is its index, whatever its sign or byte order: nothing is copied.
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
