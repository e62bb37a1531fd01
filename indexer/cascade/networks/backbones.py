"""CNN backbones for one grey channel: the paper's two, and any of timm's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import timm
import torch
from torch import Tensor, nn

from indexer.errors import TrainingError

__all__ = ["GoogLeNetBN", "NetworkInNetworkBN", "build_backbone"]

_FEATURES = 1024


def _conv(inputs: int, outputs: int, size: int, stride: int = 1, padding: int = 0) -> nn.Sequential:
    """Convolution, batch norm, ReLU: the norm's shift makes a bias of its own pointless."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _pooled(maps: Tensor) -> Tensor:
    return maps.mean((2, 3))


class NetworkInNetworkBN(nn.Module):
    """Network in network (Lin et al., ICLR 2014; the ImageNet model) with batch norm after
    every convolution, up to the global average pool of 1,024 maps."""

    num_features = _FEATURES

    def __init__(self) -> None:
        super().__init__()
        plan = [(96, 11, 4, 0), (256, 5, 1, 2), (384, 3, 1, 1), (_FEATURES, 3, 1, 1)]
        parts: list[nn.Module] = []
        inputs = 1
        for outputs, size, stride, padding in plan:
            if parts:
                parts.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            parts += [
                _conv(inputs, outputs, size, stride, padding),
                _conv(outputs, outputs, 1),
                _conv(outputs, outputs, 1),
            ]
            inputs = outputs
        self.layers = nn.Sequential(*parts)
        _initialise(self)

    def forward(self, pixels: Tensor) -> Tensor:
        """Features (n, 1024) of pictures (n, 1, height, width) scaled to -1..1."""
        return _pooled(self.layers(pixels))


class _Inception(nn.Module):
    """Four branches side by side; with `stride` 2 the 1 x 1 branch falls away."""

    def __init__(
        self,
        inputs: int,
        one: int,
        three: tuple[int, int],
        double: tuple[int, int],
        pool: tuple[str, int],
        stride: int = 1,
    ) -> None:
        super().__init__()
        branches: list[nn.Module] = [_conv(inputs, one, 1)] if one else []
        branches.append(nn.Sequential(_conv(inputs, three[0], 1), _conv(*three, 3, stride, 1)))
        branches.append(
            nn.Sequential(
                _conv(inputs, double[0], 1),
                _conv(*double, 3, 1, 1),
                _conv(double[1], double[1], 3, stride, 1),
            )
        )
        kind, outputs = pool
        pooling: nn.Module = (
            nn.AvgPool2d(3, stride, 1) if kind == "avg" else nn.MaxPool2d(3, stride, 1)
        )
        branches.append(nn.Sequential(pooling, _conv(inputs, outputs, 1)) if outputs else pooling)
        self.branches = nn.ModuleList(branches)
        self.outputs = one + three[1] + double[1] + (outputs or inputs)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([branch(maps) for branch in self.branches], 1)


class GoogLeNetBN(nn.Module):
    """Batch-normalised GoogLeNet (Ioffe and Szegedy, ICML 2015, figure 5), up to the global
    average pool of 1,024 maps."""

    num_features = _FEATURES

    def __init__(self) -> None:
        super().__init__()
        stem: list[nn.Module] = [
            _conv(1, 64, 7, 2, 3),
            nn.MaxPool2d(3, 2, 1),
            _conv(64, 64, 1),
            _conv(64, 192, 3, 1, 1),
            nn.MaxPool2d(3, 2, 1),
        ]
        plan: list[tuple[int, tuple[int, int], tuple[int, int], tuple[str, int], int]] = [
            (64, (64, 64), (64, 96), ("avg", 32), 1),
            (64, (64, 96), (64, 96), ("avg", 64), 1),
            (0, (128, 160), (64, 96), ("max", 0), 2),
            (224, (64, 96), (96, 128), ("avg", 128), 1),
            (192, (96, 128), (96, 128), ("avg", 128), 1),
            (160, (128, 160), (128, 160), ("avg", 96), 1),
            (96, (128, 192), (160, 192), ("avg", 96), 1),
            (0, (128, 192), (192, 256), ("max", 0), 2),
            (352, (192, 320), (160, 224), ("avg", 128), 1),
            (352, (192, 320), (192, 224), ("max", 128), 1),
        ]
        inputs = 192
        for one, three, double, pool, stride in plan:
            block = _Inception(inputs, one, three, double, pool, stride)
            stem.append(block)
            inputs = block.outputs
        self.layers = nn.Sequential(*stem)
        _initialise(self)

    def forward(self, pixels: Tensor) -> Tensor:
        """Features (n, 1024) of pictures (n, 1, height, width) scaled to -1..1."""
        return _pooled(self.layers(pixels))


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")


_NOT_IN_TIMM: dict[str, Callable[[], nn.Module]] = {
    "nin_bn": NetworkInNetworkBN,
    "googlenet_bn": GoogLeNetBN,
}


def build_backbone(name: str, drop_path: float = 0.0) -> nn.Module:
    """A backbone with random weights that maps (n, 1, height, width) to (n, num_features).

    Parameters
    ----------
    name
        ``"nin_bn"``, ``"googlenet_bn"``, or a timm model name.
    drop_path
        Share of residual branches left out while training, of a network of timm that can do so.

    Raises
    ------
    TrainingError
        No network has this name.
    """
    if name in _NOT_IN_TIMM:
        return _NOT_IN_TIMM[name]()
    if not timm.is_model(name):
        raise TrainingError(
            f"no network is named {name!r}: use nin_bn, googlenet_bn or a timm name"
        )
    options: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
    try:
        network: nn.Module = timm.create_model(
            name, pretrained=False, in_chans=1, num_classes=0, **options
        )
    except TypeError:
        if not options:
            raise
        # A DenseNet, for one, has no residual branches and refuses the option.
        return build_backbone(name)
    # Some networks of timm have one more layer after their last feature maps.
    network.num_features = getattr(network, "head_hidden_size", network.num_features)
    return network
