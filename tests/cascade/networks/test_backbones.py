from __future__ import annotations

import pytest
import torch
from torch import nn

from indexer.cascade.networks.backbones import build_backbone
from indexer.errors import TrainingError


@pytest.mark.parametrize("name", ["nin_bn", "googlenet_bn", "mobilenetv3_small_050"])
def test_a_backbone_pools_one_grey_channel(name: str) -> None:
    network = build_backbone(name).eval()
    with torch.inference_mode():
        features = network(torch.randn(2, 1, 64, 64))
    assert features.shape == (2, network.num_features)
    assert bool(features.isfinite().all())


@pytest.mark.parametrize("name", ["nin_bn", "googlenet_bn"])
def test_the_papers_networks_have_1024_features_and_batch_norm(name: str) -> None:
    network = build_backbone(name)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert network.num_features == 1024
    assert len(norms) == len(convolutions)
    assert all(p.grad is None for p in network.parameters())


def test_an_unknown_network_is_a_plain_error() -> None:
    with pytest.raises(TrainingError, match="nin_bn, googlenet_bn"):
        build_backbone("no_such_net")
