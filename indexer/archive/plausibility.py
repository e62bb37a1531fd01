"""Whether pixels look like a picture at all: how much neighbours differ, along and across rows.

A film is smooth: next to a pixel lies nearly the same value. Where a header is wrong about the
encoding, neighbours have nothing in common; where it is wrong about the width, rows have not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["are_cut_words", "fits_better", "is_smoother", "roughness", "signed_otherwise"]

# How many pairs of neighbouring rows are compared, and how many pixels of each.
_PAIRS, _LENGTH = 24, 2048
# Every fourth of these pixels is used to estimate the range of values.
_THINNED = 4
# Another reading of the same bytes is believed if its roughness is below this share of the first.
_MARGIN = 0.5
# The sign of values is doubted if more than this part of the steps crosses half the range. The
# other sign must then reduce the roughness to this share.
_MAX_JUMPS, _MIN_SMOOTHING = 0.0005, 0.75


def roughness(pixels: npt.NDArray[Any]) -> tuple[float, float]:
    """Mean step between neighbours along the rows and across them, in parts of the range.

    Parameters
    ----------
    pixels
        (rows, columns).

    Returns
    -------
    tuple
        About 0.01 for a film, 1/3 for noise; zeros for an image of one row, column or value.
    """
    if min(pixels.shape) < 2:
        return 0.0, 0.0
    # A quarter of the pixels is enough for a mean; rare jumps are looked for in all pixels.
    upper, lower = (
        rows[::2, rows.shape[1] // 4 : -(rows.shape[1] // 4) or None]
        for rows in _pairs_of_rows(pixels)
    )
    some = upper[:, ::_THINNED]
    ends = some.size // 100, -1 - some.size // 100
    low, high = np.partition(some, ends, axis=None)[list(ends)]
    span = max(float(high) - float(low), 1.0)
    along = float(np.abs(np.diff(upper, axis=1)).mean()) / span
    return along, float(np.abs(upper - lower).mean()) / span


def _pairs_of_rows(pixels: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Some rows, and for each the one below it."""
    rows, columns = pixels.shape
    chosen = np.linspace(0, rows - 2, min(_PAIRS, rows - 1)).astype(np.intp)
    length = min(columns, _LENGTH)
    begin = (columns - length) // 2
    part = slice(begin, begin + length)
    return pixels[chosen, part].astype(np.int32), pixels[chosen + 1, part].astype(np.int32)


def fits_better(other: npt.NDArray[Any], pixels: npt.NDArray[Any]) -> bool:
    """Whether another reading of the same pixels is so much smoother that it must be right."""
    return max(roughness(other)) < _MARGIN * max(roughness(pixels))


def are_cut_words(value: bytes, size: tuple[int, int]) -> bool:
    """Whether as many bytes as an image has pixels are the first half of its 16-bit words."""
    rows, columns = size
    words = np.frombuffer(value, "<u2", rows // 2 * columns).reshape(rows // 2, columns)
    return fits_better(words, np.frombuffer(value, "u1", rows * columns).reshape(size))


def is_smoother(other: npt.NDArray[Any], pixels: npt.NDArray[Any]) -> bool:
    """Whether neighbours are nearer to each other by another reading, in the same unit."""
    here, there = (
        np.abs(np.diff(_pairs_of_rows(values)[0], axis=1)).mean() for values in (pixels, other)
    )
    return bool(there < _MIN_SMOOTHING * here)


def signed_otherwise(
    pixels: npt.NDArray[Any], bits: int
) -> Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]] | None:
    """What puts values right that are signed where their header says unsigned, or the reverse.

    A value that passes zero, or half of the range, then jumps through the whole range, which no
    film does time and again.

    Parameters
    ----------
    pixels
        Stored values (rows, columns); signed integers where the header says so.
    bits
        Bits stored per value.

    Returns
    -------
    callable or None
        Maps stored values to what they mean; None where they mean what they are.
    """
    if bits <= 8 or min(pixels.shape) < 2:
        return None
    upper, lower = _pairs_of_rows(pixels)
    whole, half = 1 << bits, 1 << (bits - 1)
    low, high = int(upper.min()), int(upper.max())
    if low < -half or high >= whole or (low < 0 and high >= half):
        return None
    # Read as unsigned so far; then signed is the other way, which small values do not tell apart.
    unsigned = low >= 0
    if unsigned and high < half:
        return None
    declared_signed = np.issubdtype(pixels.dtype, np.signedinteger) and unsigned
    if not declared_signed and np.mean(np.abs(np.diff(upper, axis=1)) > half) < _MAX_JUMPS:
        return None

    def other(values: npt.NDArray[Any]) -> Any:
        if unsigned:
            return np.where(values >= half, values - whole, values)
        return np.where(values < 0, values + whole, values)

    here, there = (np.abs(a - b).mean() for a, b in ((upper, lower), (other(upper), other(lower))))
    return (
        other
        if there < here * (1 / _MIN_SMOOTHING if declared_signed else _MIN_SMOOTHING)
        else None
    )
