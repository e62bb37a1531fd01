from __future__ import annotations

import numpy as np
import pytest
import torch

from indexer.cascade.bundle import Bundle
from indexer.cascade.heatmap import HeatMap, HeatMaps
from indexer.cascade.networks.encoder import Encoder
from indexer.cascade.networks.localiser import Localiser
from indexer.cascade.runtimes import available, openvino_cpu, reference
from indexer.errors import BundleError, NotFoundError

SIZE = 64


@pytest.fixture(scope="module")
def canvas(bundle: Bundle) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (bundle.size, bundle.size), dtype=np.uint8)


@pytest.mark.parametrize(
    "backbones", [("nin_bn",), ("googlenet_bn",), ("tf_efficientnet_lite0", "resnet18")]
)
def test_the_mean_of_the_cells_is_the_logit(backbones: tuple[str, ...]) -> None:
    torch.manual_seed(1)
    encoder = Encoder(backbones, 16, 5).eval()
    size = 256 if len(backbones) == 1 else SIZE
    pictures = torch.randint(0, 256, (2, 1, size, size))
    if len(backbones) > 1:
        # Their maps are of one size for one picture: 1/32 of it.
        assert Localiser(encoder, size)(pictures).shape == (2, 5, SIZE // 32, SIZE // 32)
    cells = Localiser(encoder, size)(pictures)
    assert torch.allclose(cells.mean((2, 3)), encoder(pictures).logits, atol=1e-4)


def test_networks_with_layers_after_their_maps_are_refused() -> None:
    torch.manual_seed(1)
    with pytest.raises(BundleError, match="no heat maps"):
        Localiser(Encoder(("mobilenetv3_small_050",), 16, 5).eval(), SIZE)


@pytest.mark.skipif(not available("openvino"), reason="no OpenVINO here")
def test_both_runtimes_locate_alike(
    bundle: Bundle, canvas: np.ndarray[tuple[int, int], np.dtype[np.uint8]]
) -> None:
    one, other = (module.load_localiser(bundle)(canvas) for module in (reference, openvino_cpu))
    assert one.shape == (bundle.labels.scored, bundle.size // 32, bundle.size // 32)
    assert np.abs(one - other).max() < 0.01


def test_an_unknown_finding_is_named(
    bundle: Bundle, canvas: np.ndarray[tuple[int, int], np.dtype[np.uint8]]
) -> None:
    with pytest.raises(NotFoundError, match=r'no finding "effusion"; it knows .*pleural effusion'):
        HeatMaps(bundle).of(canvas, "effusion")


def test_a_map_is_warm_where_its_cells_are() -> None:
    cells = np.full((8, 8), -5.0, np.float32)
    cells[1, 6] = 6
    layer = HeatMap("nodule", 0.5, cells).drawn(160, 80)
    assert layer.shape == (160, 80, 4)
    opacity = layer[..., 3].astype(int)
    assert opacity[30, 65] > 200
    assert opacity[100, 20] == 0
    # Red where it is warm, for the eye as for the reader of the file.
    red, green, blue = layer[30, 65, :3].astype(int)
    assert red == 255
    assert green < 60
    assert blue == 0
