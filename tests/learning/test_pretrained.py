from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from indexer.errors import TrainingError
from indexer.learning.pretrained import load_weights


def _network(seed: int, channels: int = 1) -> nn.Module:
    torch.manual_seed(seed)
    return timm.create_model("test_resnet", in_chans=channels, num_classes=0).eval()


@torch.inference_mode()
def test_weights_of_another_grey_range_see_the_same(tmp_path: Path) -> None:
    trained, ours = _network(0), _network(1)
    save_file(trained.state_dict(), tmp_path / "weights.safetensors")
    load_weights(ours, tmp_path / "weights.safetensors", grey_range=1024)
    picture = torch.rand(2, 1, 32, 32) * 2 - 1
    torch.testing.assert_close(ours(picture), trained(picture * 1024), rtol=1e-3, atol=1e-3)


@torch.inference_mode()
def test_colour_weights_see_grey(tmp_path: Path) -> None:
    colour, ours = _network(0, channels=3), _network(1)
    torch.save({**colour.state_dict(), "classifier.bias": torch.zeros(3)}, tmp_path / "weights.pt")
    load_weights(ours, tmp_path / "weights.pt")
    picture = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(ours(picture), colour(picture.expand(-1, 3, -1, -1)))


def test_what_is_no_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no weights at"):
        load_weights(_network(0), tmp_path / "nothing.pt")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(TrainingError, match="no plain weights"):
        load_weights(_network(0), tmp_path / "text.pt")
    torch.save(_network(0), tmp_path / "module.pt")
    with pytest.raises(TrainingError, match="state_dict"):
        load_weights(_network(0), tmp_path / "module.pt")
    save_file({"other": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(TrainingError, match="another network"):
        load_weights(_network(0), tmp_path / "other.safetensors")
