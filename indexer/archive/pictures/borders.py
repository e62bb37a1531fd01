"""Even borders around a film, which push the lungs to another place and size, and how to cut them.

White frames of a journal's page, black shutters of a collimator, and strips that a viewer added:
lines of nearly one grey level, black or white, but for a few pixels of letters.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from indexer.archive.windowing import GreyArray, Grid

__all__ = ["Frame", "cut_borders", "find_frame"]

# Borders are looked for in a copy of this many pixels a side.
_SIDE = 384
# A line belongs to a border if its grey levels span at most `_EVEN` and are below `_DARK` or above
# `_BRIGHT`. At either end the share `_STRAY` of its pixels is ignored.
_EVEN, _DARK, _BRIGHT, _STRAY = 6, 24, 231, 0.03
# At most this share is cut from one side, and at least this share of each dimension is left.
_MAX_CUT, _MIN_SIDE = 0.35, 0.4
# Up to this many nested borders of different grey levels are cut.
_TIMES = 3
# Share of the pixels beyond either end of the shown range, as in `windowing.render`.
_TAIL = 0.5


class Frame(NamedTuple):
    """The rows and columns that are kept, the last ones not included."""

    top: int
    bottom: int
    left: int
    right: int


def cut_borders(picture: GreyArray, grid: Grid | None) -> tuple[GreyArray, Grid | None]:
    """A picture without its borders, its grey levels stretched anew where any were cut.

    Parameters
    ----------
    picture
        (rows, columns), 0..255.
    grid
        Where it is a smaller copy, how it lies on the whole image.

    Returns
    -------
    picture, grid
        The same objects where there are no borders.
    """
    frame = find_frame(picture)
    rows, columns = picture.shape
    if frame == (0, rows, 0, columns):
        return picture, grid
    inside = picture[frame.top : frame.bottom, frame.left : frame.right]
    if grid is not None:
        top, bottom = max(frame.top, grid.top), min(frame.bottom, grid.rows / grid.step + grid.top)
        left = max(frame.left, grid.left)
        right = min(frame.right, grid.columns / grid.step + grid.left)
        grid = Grid(
            max(1, round((bottom - top) * grid.step)),
            max(1, round((right - left) * grid.step)),
            grid.step,
            top - frame.top,
            left - frame.left,
        )
    return _stretched(inside), grid


def cut_deep_borders(
    picture: npt.NDArray[np.float32], grid: Grid | None
) -> tuple[npt.NDArray[np.float32], Grid | None]:
    """As `cut_borders`, of a picture whose greys go on below 0 and above 255."""
    seen = np.clip(picture, 0, 255)
    frame = find_frame(seen)
    if frame == (0, picture.shape[0], 0, picture.shape[1]):
        return picture, grid
    _, grid = cut_borders(seen, grid)
    part = (slice(frame.top, frame.bottom), slice(frame.left, frame.right))
    low, high = _ends(seen[part])
    inside = picture[part]
    return (inside if high <= low else (inside - low) * np.float32(255 / (high - low))), grid


def find_frame(picture: GreyArray) -> Frame:
    """What is left of a picture, (rows, columns), without even black or white borders."""
    rows, columns = picture.shape
    step = max(1, max(rows, columns) // _SIDE)
    small = picture[::step, ::step]
    frame = _frame(small)
    whole = Frame(0, small.shape[0], 0, small.shape[1])
    # Lines between the last border line and the next one of the copy are kept.
    ends = [
        end * step if end != full else limit
        for end, full, limit in zip(frame, whole, (0, rows, 0, columns), strict=True)
    ]
    return Frame(*ends)


def _frame(picture: GreyArray) -> Frame:
    rows, columns = picture.shape
    frame = Frame(0, rows, 0, columns)
    for _ in range(_TIMES):
        top, bottom, left, right = frame
        inside = picture[top:bottom, left:right]
        found = Frame(
            top + _run(inside),
            bottom - _run(inside[::-1]),
            left + _run(inside.T),
            right - _run(inside.T[::-1]),
        )
        if found == frame or not _plausible(found, rows, columns):
            break
        frame = found
    return frame


def _run(lines: GreyArray) -> int:
    """How many lines from the first on are even."""
    if not _even(lines[:1])[0]:
        return 0
    most = int(_MAX_CUT * len(lines)) + 1
    flags = _even(lines[:most])
    return len(flags) if flags.all() else int(np.argmin(flags))


def _even(lines: GreyArray) -> npt.NDArray[np.bool_]:
    length = lines.shape[1]
    stray = int(_STRAY * length)
    ordered = np.partition(lines, (stray, length - 1 - stray), axis=1)
    low, high = (ordered[:, k].astype(np.float32) for k in (stray, length - 1 - stray))
    even: npt.NDArray[np.bool_] = (high - low <= _EVEN) & ((high < _DARK) | (low > _BRIGHT))
    return even


def _plausible(frame: Frame, rows: int, columns: int) -> bool:
    top, bottom, left, right = frame
    cut = max(top / rows, 1 - bottom / rows, left / columns, 1 - right / columns)
    return cut <= _MAX_CUT and min((bottom - top) / rows, (right - left) / columns) >= _MIN_SIDE


def _stretched(picture: GreyArray) -> GreyArray:
    low, high = _ends(picture)
    if high <= low:
        return picture
    levels = np.clip((np.arange(256) - low) * (255 / (high - low)), 0, 255)
    stretched: GreyArray
    if picture.dtype == np.uint8:
        stretched = np.rint(levels).astype(np.uint8)[picture]
    else:
        stretched = np.clip((picture - low) * (255 / (high - low)), 0, 255).astype(np.float32)
    return stretched


def _ends(picture: GreyArray) -> tuple[float, float]:
    """The greys that become black and white."""
    step = max(1, int((picture.size / 250_000) ** 0.5))
    low, high = np.percentile(picture[::step, ::step], (_TAIL, 100 - _TAIL))
    return float(low), float(high)
