"""Vectors that a cascade has to beat: raw pixels, and the ImageNet features it started from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import timm
import torch

from indexer.learning.pretrained import imagenet_weights

__all__ = ["IMAGENET_BACKBONE", "imagenet_vectors", "pixel_vectors"]

IMAGENET_BACKBONE = "tf_efficientnet_lite0"
_SIDE = 32

Canvases = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]


def pixel_vectors(queries: Canvases, gallery: Canvases) -> tuple[Vectors, Vectors]:
    """Pictures of shape (n, size, size) as 32 x 32 pixels without their mean, unit length."""
    one, other = (_shrunk(canvases) for canvases in (queries, gallery))
    return _unit(one), _unit(other)


@torch.inference_mode()
def imagenet_vectors(queries: Canvases, gallery: Canvases) -> tuple[Vectors, Vectors]:
    """Pooled features of the ImageNet backbone without their mean over the gallery, unit length.

    Pooled activations are all positive: without their mean, every cosine is near 1.
    """
    model = timm.create_model(IMAGENET_BACKBONE, pretrained=False, in_chans=1, num_classes=0)
    model.load_state_dict(imagenet_weights(IMAGENET_BACKBONE))
    model.eval()
    found = []
    for canvases in (queries, gallery):
        rows = []
        for start in range(0, len(canvases), 64):
            batch = torch.from_numpy(canvases[start : start + 64])[:, None]
            rows.append(model(batch.float() / 127.5 - 1).numpy())
        found.append(np.concatenate(rows))
    mean = found[1].mean(0)
    return _unit(found[0] - mean), _unit(found[1] - mean)


def _shrunk(canvases: Canvases) -> Vectors:
    small = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(canvases).float(), _SIDE)
    flat: Vectors = small.reshape(len(canvases), -1).numpy()
    centred: Vectors = flat - flat.mean(1, keepdims=True)
    return centred


def _unit(vectors: Vectors) -> Vectors:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = vectors / np.maximum(length, 1e-9)
    return unit
