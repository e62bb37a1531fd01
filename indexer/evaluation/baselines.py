"""Vectors that a cascade has to beat: raw pixels, and the ImageNet features it started from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import timm
import torch
from torch import Tensor, nn

from indexer.cascade.networks.encoder import Outputs
from indexer.cascade.runtimes import openvino_cpu
from indexer.learning.pretrained import imagenet_weights

__all__ = ["IMAGENET_BACKBONE", "imagenet_vectors", "pixel_vectors"]

IMAGENET_BACKBONE = "tf_efficientnet_lite0"
_SIDE = 32

Canvases = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]


def pixel_vectors(queries: Canvases, gallery: Canvases) -> tuple[FloatArray, FloatArray]:
    """Pictures of shape (n, size, size) as 32 x 32 pixels without their mean, unit length."""
    one, other = (_shrunk(canvases) for canvases in (queries, gallery))
    return _unit(one), _unit(other)


def imagenet_vectors(queries: Canvases, gallery: Canvases) -> tuple[FloatArray, FloatArray]:
    """Pooled features of the ImageNet backbone without their mean over the gallery, unit length.

    Pooled activations are all positive: without their mean, every cosine is near 1.
    """
    network = _Features().eval()
    one, other = (_read(network, canvases) for canvases in (queries, gallery))
    return _unit(one - other.mean(0)), _unit(other - other.mean(0))


class _Features(nn.Module):
    """The ImageNet backbone as a network that has nothing to say but an embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = timm.create_model(
            IMAGENET_BACKBONE, pretrained=False, in_chans=1, num_classes=0
        )
        self.backbone.load_state_dict(imagenet_weights(IMAGENET_BACKBONE))

    def forward(self, pictures: Tensor) -> Outputs:
        features = self.backbone(pictures.float() / 127.5 - 1)
        return Outputs(features, features[:, :0], features[:, 0], features[:, :0])


def _read(network: nn.Module, canvases: Canvases) -> FloatArray:
    """Embeddings, by OpenVINO where it runs: it takes an eighth of torch's time."""
    compiled = (
        openvino_cpu.load_module(network, canvases.shape[-1])
        if openvino_cpu.is_available()
        else None
    )
    rows = []
    for start in range(0, len(canvases), 64):
        batch = np.asarray(canvases[start : start + 64])
        if compiled is not None:
            rows.append(compiled.encode(batch).embedding)
            continue
        with torch.inference_mode():
            rows.append(network(torch.from_numpy(batch)[:, None]).embedding.numpy())
    return np.concatenate(rows)


def _shrunk(canvases: Canvases) -> FloatArray:
    small = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(canvases).float(), _SIDE)
    flat: FloatArray = small.reshape(len(canvases), -1).numpy()
    centred: FloatArray = flat - flat.mean(1, keepdims=True)
    return centred


def _unit(vectors: FloatArray) -> FloatArray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: FloatArray = vectors / np.maximum(length, 1e-9)
    return unit
