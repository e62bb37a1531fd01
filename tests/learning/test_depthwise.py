"""Depthwise convolutions give what torch's give, forwards and backwards."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from indexer.learning.depthwise import use_fast_depthwise

_CASES = [
    (side, stride, size) for side in (3, 5) for stride in (1, 2) for size in ((14, 11), (13, 16))
]


@pytest.mark.parametrize("same", [False, True], ids=["even", "same"])
@pytest.mark.parametrize(("side", "stride", "size"), _CASES)
def test_gradients_are_those_of_torch(
    side: int, stride: int, size: tuple[int, int], same: bool
) -> None:
    torch.manual_seed(0)
    kind, padding = (Conv2dSame, 0) if same else (nn.Conv2d, side // 2)
    plain, quick = (kind(6, 6, side, stride, padding, groups=6, bias=False) for _ in range(2))
    quick.load_state_dict(plain.state_dict())
    use_fast_depthwise(quick)
    assert type(quick) is not type(plain)
    found = []
    for convolution in (plain, quick):
        maps = torch.linspace(-1, 1, 2 * 6 * size[0] * size[1]).reshape(2, 6, *size)
        maps.requires_grad_()
        answer = convolution(maps.sin())
        answer.square().sum().backward()
        assert maps.grad is not None
        assert convolution.weight.grad is not None
        found.append((answer.detach(), maps.grad, convolution.weight.grad))
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_a_network_computes_what_it_did_under_the_same_names() -> None:
    torch.manual_seed(0)
    plain = timm.create_model("tf_efficientnet_lite0", in_chans=1, num_classes=3).eval()
    quick = timm.create_model("tf_efficientnet_lite0", in_chans=1, num_classes=3).eval()
    quick.load_state_dict(plain.state_dict())
    use_fast_depthwise(quick)
    pictures = torch.rand(2, 1, 64, 64)
    assert list(quick.state_dict()) == list(plain.state_dict())
    assert torch.equal(quick(pictures), plain(pictures))


def test_gradients_in_half_precision_are_near() -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(8, 8, 5, 2, 2, groups=8, bias=False)
    maps = torch.randn(4, 8, 17, 17)

    def slope() -> torch.Tensor:
        convolution.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            answer = convolution(maps)
        assert answer.dtype == torch.bfloat16
        answer.float().square().mean().backward()
        assert convolution.weight.grad is not None
        return convolution.weight.grad.clone()

    exact = slope()
    use_fast_depthwise(convolution)
    torch.testing.assert_close(slope(), exact, rtol=0.05, atol=0.01)


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(4, 4, 3, padding=1, bias=False),
        nn.Conv2d(4, 4, 7, padding=3, groups=4, bias=False),
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        nn.Conv2d(4, 8, 3, padding=1, groups=4, bias=False),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4, bias=False),
    ],
    ids=["dense", "wide", "biased", "multiplied", "dilated"],
)
def test_other_convolutions_are_left_alone(convolution: nn.Conv2d) -> None:
    use_fast_depthwise(convolution)
    assert type(convolution) is nn.Conv2d
