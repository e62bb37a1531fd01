"""Random changes of what differs between hospitals: processing, noise, letters, borders, JPEG."""

from __future__ import annotations

import io
from collections.abc import Collection

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from indexer.learning.changes import AppearanceChange

__all__ = ["change_appearance"]

# Share of the pictures that get each change.
_EQUALISED, _BLURRED, _COARSE, _NOISY, _LETTERED, _BORDERED = 0.3, 0.25, 0.15, 0.4, 0.35, 0.2
# Pixels of a stroke of a letter, and the widest border as a share of the side.
_STROKE, _WIDEST = 3, 0.1
# Share of the pictures that are compressed as JPEG, and the range of its quality.
_COMPRESSED, _QUALITIES = 0.3, (20, 90)


def change_appearance(
    pictures: Tensor,
    draw: torch.Generator,
    *,
    jpeg: bool = False,
    left_out: Collection[AppearanceChange] = (),
) -> Tensor:
    """Gamma, local equalisation, blur, coarser pixels, contrast, noise, marks and borders.

    Parameters
    ----------
    pictures
        Shape (n, 1, side, side), 0..1.
    jpeg
        Then compress some as JPEG.
    left_out
        Leave these out. The others are drawn as they are with them.

    Returns
    -------
    Tensor
        The same shape and range.
    """
    n = len(pictures)

    def uniform(low: float, high: float) -> Tensor:
        drawn = torch.rand(n, generator=draw) * (high - low) + low
        return drawn[:, None, None, None].to(pictures.device)

    def some(share: float, change: AppearanceChange) -> Tensor:
        return (uniform(0, 1) < share) & (change not in left_out)

    changed, power = pictures.clamp(1e-4, 1), uniform(-0.45, 0.45).exp()
    if "gamma" not in left_out:
        changed = changed**power
    amount = some(_EQUALISED, "local equalisation") * uniform(0.2, 0.8)
    changed = torch.lerp(changed, _equalised(changed), amount)
    changed = torch.where(some(_BLURRED, "blur"), _blurred(changed), changed)
    changed = torch.where(some(_COARSE, "coarse pixels"), _coarse(changed), changed)
    gain, shift = uniform(0.7, 1.25), uniform(-0.12, 0.12)
    if "contrast" not in left_out:
        changed = (changed - 0.5) * gain + 0.5 + shift
    noise = torch.randn(changed.shape, generator=draw).to(pictures.device)
    changed = changed + some(_NOISY, "noise") * uniform(0, 0.05) * noise
    for picture in changed[:, 0]:
        chance = torch.rand(2, generator=draw)
        # What is left out is drawn on a copy, so that the next picture's draws stay as they are.
        if chance[0] < _LETTERED:
            _write(picture.clone() if "letters" in left_out else picture, draw)
        if chance[1] < _BORDERED:
            _frame(picture.clone() if "borders" in left_out else picture, draw)
    changed = changed.clamp(0, 1)
    return _compressed(changed, draw) if jpeg else changed


def _compressed(pictures: Tensor, draw: torch.Generator) -> Tensor:
    """Some of the pictures as they come back from a JPEG file of a random quality."""
    chosen = torch.rand(len(pictures), generator=draw) < _COMPRESSED
    low, high = _QUALITIES
    qualities = torch.randint(low, high + 1, (len(pictures),), generator=draw)
    rows = chosen.nonzero()[:, 0].to(pictures.device)
    if not len(rows):
        return pictures
    levels = (pictures[rows, 0] * 255).round().byte().cpu().numpy()
    back = []
    for level, quality in zip(levels, qualities[chosen].tolist(), strict=True):
        file = io.BytesIO()
        Image.fromarray(level).save(file, "JPEG", quality=quality)
        back.append(np.asarray(Image.open(file)))
    changed = torch.from_numpy(np.stack(back)).to(pictures) / 255
    return pictures.index_copy(0, rows, changed[:, None])


def _blurred(pictures: Tensor) -> Tensor:
    return functional.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)


def _coarse(pictures: Tensor) -> Tensor:
    half = functional.interpolate(pictures, scale_factor=0.5, mode="area")
    return functional.interpolate(half, size=pictures.shape[2:], mode="bilinear")


def _equalised(pictures: Tensor) -> Tensor:
    """Each point by its distance from the mean around it, in the spread around it."""
    small = functional.interpolate(pictures, size=(26, 26), mode="area")
    mean, square = (
        functional.avg_pool2d(maps, 7, 1, 3, count_include_pad=False)
        for maps in (small, small.square())
    )
    spread = (square - mean.square()).clamp(min=4e-4).sqrt()
    mean, spread = (
        functional.interpolate(maps, size=pictures.shape[2:], mode="bilinear")
        for maps in (mean, spread)
    )
    return ((pictures - mean) / (spread + 0.08) * 0.22 + 0.5).clamp(0, 1)


def _write(picture: Tensor, draw: torch.Generator) -> None:
    """Up to three marks of strokes, as letters and arrows are, mostly white."""
    side = len(picture)
    for _ in range(1 + int(torch.randint(3, (), generator=draw))):
        size = torch.rand(5, generator=draw)
        rows, columns = int(4 + size[0] * 14), int(3 + size[1] * 20)
        top, left = int(size[2] * (side - rows)), int(size[3] * (side - columns))
        strokes = torch.rand(-(-rows // _STROKE), -(-columns // _STROKE), generator=draw) < 0.55
        strokes = strokes.repeat_interleave(_STROKE, 0).repeat_interleave(_STROKE, 1)
        mark = picture[top : top + rows, left : left + columns]
        there = strokes[:rows, :columns][: mark.shape[0], : mark.shape[1]].to(mark.device)
        mark.masked_fill_(there, float(size[4] < 0.75))


def _frame(picture: Tensor, draw: torch.Generator) -> None:
    """A black or white border on some of the four sides."""
    value = float(torch.rand((), generator=draw) < 0.4)
    widths, there = torch.rand(2, 4, generator=draw)
    widest = _WIDEST * len(picture)
    top, bottom, left, right = (
        int(width * widest) if chance < 0.6 else 0
        for width, chance in zip(widths, there, strict=True)
    )
    picture[:top] = value
    picture[len(picture) - bottom :] = value
    picture[:, :left] = value
    picture[:, len(picture) - right :] = value
