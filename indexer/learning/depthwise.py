"""Depthwise convolutions that learn fast on a CPU.

Their gradients in bfloat16, with a stride, and of filters of 5 x 5 have no quick path in oneDNN and
take most of a training step of an EfficientNet. Here they are asked for in a way that has one.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import get_same_padding
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["use_fast_depthwise"]


class _Depthwise(torch.autograd.Function):
    """Convolution of every channel with a square filter of its own, 3 or 5 wide."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, filters: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(maps, filters)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(
            maps, filters.to(maps.dtype), stride=stride, padding=padding, groups=maps.shape[1]
        )

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        maps, filters = ctx.saved_tensors
        stride, padding = ctx.stride, ctx.padding
        # With a stride the bfloat16 gradients are ten times slower than those in float32.
        exact = torch.float32 if stride > 1 else given.dtype
        given = given.to(exact, memory_format=torch.channels_last)
        inputs, weights = maps.to(exact), filters.to(exact)
        slope = None
        if ctx.needs_input_grad[0]:
            slope = _gradients(given, inputs, weights, stride, padding)[0].to(maps.dtype)
        of_filters = _slope_of_filters(given, inputs, weights, stride, padding)
        return slope, of_filters.to(filters.dtype), None, None


def _gradients(
    given: Tensor,
    maps: Tensor,
    filters: Tensor,
    stride: int,
    padding: int,
    wanted: tuple[bool, bool, bool] = (True, False, False),
) -> tuple[Tensor, Tensor, Tensor]:
    both = [stride, stride], [padding, padding], [1, 1]
    slopes: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        given, maps, filters, None, *both, False, [0, 0], maps.shape[1], wanted
    )
    return slopes


def _slope_of_filters(
    given: Tensor, maps: Tensor, filters: Tensor, stride: int, padding: int
) -> Tensor:
    """Four quick filters of 3 x 3, one in each corner, in place of a slow one of 5 x 5."""
    of_filters = (False, True, False)
    if filters.shape[2] == 3:
        return _gradients(given, maps, filters, stride, padding, of_filters)[1]
    slope = torch.empty_like(filters)
    around = functional.pad(maps, [padding] * 4)
    height, width = ((side - 1) * stride + 3 for side in given.shape[2:])
    corner = filters[:, :, :3, :3].contiguous()
    for y in (0, 2):
        for x in (0, 2):
            part = around[:, :, y : y + height, x : x + width]
            part = part.contiguous(memory_format=torch.channels_last)
            found = _gradients(given, part, corner, stride, 0, of_filters)[1]
            slope[:, :, y : y + 3, x : x + 3] = found
    return slope


class _FastDepthwise(nn.Conv2d):
    def forward(self, maps: Tensor) -> Tensor:
        maps = _as_autocast(maps)
        return _apply(maps, self.weight, self.stride[0], int(self.padding[0]))


class _FastDepthwiseSame(Conv2dSame):
    """As TensorFlow pads: by what the stride needs, more of it right and below."""

    def forward(self, maps: Tensor) -> Tensor:
        side, stride = self.kernel_size[0], self.stride[0]
        down, across = (get_same_padding(n, side, stride, 1) for n in maps.shape[2:])
        halves = [across // 2, across - across // 2, down // 2, down - down // 2]
        return _apply(functional.pad(_as_autocast(maps), halves), self.weight, stride, 0)


def _apply(maps: Tensor, filters: Tensor, stride: int, padding: int) -> Tensor:
    convolved: Tensor = _Depthwise.apply(maps, filters, stride, padding)
    return convolved


def _as_autocast(maps: Tensor) -> Tensor:
    if torch.is_autocast_enabled("cpu"):
        return maps.to(torch.get_autocast_dtype("cpu"))
    return maps


_FAST_TYPES = {nn.Conv2d: _FastDepthwise, Conv2dSame: _FastDepthwiseSame}


def use_fast_depthwise(network: nn.Module) -> None:
    """Make the depthwise convolutions of `network` learn fast on a CPU; what they compute, and the
    names of their weights, stay as they are."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and type(module) in _FAST_TYPES and _fits(module):
            module.__class__ = _FAST_TYPES[type(module)]


def _fits(convolution: nn.Conv2d) -> bool:
    side = convolution.kernel_size
    return (
        convolution.groups == convolution.in_channels == convolution.out_channels
        and convolution.bias is None
        and side in ((3, 3), (5, 5))
        and convolution.dilation == (1, 1)
        and convolution.stride[0] == convolution.stride[1]
        and (isinstance(convolution, Conv2dSame) or convolution.padding == (side[0] // 2,) * 2)
        and convolution.padding_mode == "zeros"
    )
