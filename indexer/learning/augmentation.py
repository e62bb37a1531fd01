"""Random changes of a picture that leave its annotation true."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from indexer.learning.appearance import change_appearance
from indexer.learning.changes import AppearanceChange

__all__ = ["augment"]


def augment(
    canvases: Tensor,
    crop: int,
    draw: torch.Generator,
    *,
    strong: bool = False,
    jpeg: bool = False,
    left_out: Collection[AppearanceChange] = (),
) -> Tensor:
    """Random crops, slightly scaled, turned and re-exposed; never flipped, as side is part of
    the answer.

    Parameters
    ----------
    canvases
        Shape (n, size, size), uint8, on the device where it is computed.
    crop
        Side of the result in pixels.
    draw
        Draws on the processor, so that the same is drawn wherever it is computed.
    strong
        Change what differs between hospitals, too (see `indexer.learning.appearance`).
    jpeg
        With `strong`, compress some pictures as JPEG.
    left_out
        Leave these changes out: of appearance with `strong` alone. The others are drawn as they are
        with them.

    Returns
    -------
    Tensor
        Shape (n, 1, crop, crop), float32 in 0..255.
    """
    n, size = canvases.shape[:2]

    def uniform(low: float, high: float) -> Tensor:
        return (torch.rand(n, generator=draw) * (high - low) + low).to(canvases.device)

    angle, zoom, stretch = uniform(-0.14, 0.14), uniform(0.88, 1.14), uniform(0.94, 1.06)
    if "rotations" in left_out:
        angle = torch.zeros_like(angle)
    if "scales" in left_out:
        zoom, stretch = torch.ones_like(zoom), torch.ones_like(stretch)
    scale = crop / size * zoom
    room = (1 - scale).clamp(min=0.04)
    rows = [
        [scale * stretch * angle.cos(), -scale * angle.sin(), room * uniform(-1, 1)],
        [scale * angle.sin(), scale / stretch * angle.cos(), room * uniform(-1, 1)],
    ]
    theta = torch.stack([torch.stack(row, -1) for row in rows], 1)
    grid = nn.functional.affine_grid(theta, [n, 1, crop, crop], align_corners=False)
    pictures = nn.functional.grid_sample(canvases[:, None].float(), grid, align_corners=False)
    if strong:
        return change_appearance(pictures / 255, draw, jpeg=jpeg, left_out=left_out) * 255
    gamma, gain, shift = uniform(0.8, 1.25), uniform(0.85, 1.15), uniform(-20, 20)
    bent = (pictures / 255).clamp(1e-4, 1) ** gamma[:, None, None, None] * 255
    return (bent * gain[:, None, None, None] + shift[:, None, None, None]).clamp(0, 255)
