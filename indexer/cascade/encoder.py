"""The CNN: from a picture to an embedding and a score for every label."""

from __future__ import annotations

import timm
import torch
from torch import Tensor, nn

__all__ = ["Encoder"]


class Encoder(nn.Module):
    """A timm backbone, a projection to the embedding, and one linear head on it.

    The head reads the embedding alone, so whatever tells findings apart is in the vector that
    the search compares.

    Parameters
    ----------
    backbone
        A timm model name.
    dimensions
        Length of the embedding.
    labels
        Number of labels: findings, then finding + qualifier pairs.
    """

    def __init__(self, backbone: str, dimensions: int, labels: int) -> None:
        super().__init__()
        self.backbone = timm.create_model(backbone, pretrained=False, in_chans=1, num_classes=0)
        self.drop = nn.Dropout(0.2)
        features: int = self.backbone.num_features  # type: ignore[assignment]
        self.projection = nn.Linear(features, dimensions)
        self.norm = nn.BatchNorm1d(dimensions)
        self.head = nn.Linear(dimensions, labels)
        # One logit more: is the view lateral?
        self.view = nn.Linear(dimensions, 1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings and logits.

        Parameters
        ----------
        pictures
            Shape (n, 1, height, width), grey values 0..255 of any dtype.

        Returns
        -------
        embedding
            Shape (n, dimensions), unit length, float32.
        logits
            Shape (n, labels), float32.
        view
            Shape (n,), float32: logit of a lateral view.
        """
        pixels = pictures.float().div(127.5).sub(1)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        features = self.norm(self.projection(self.drop(self.backbone(pixels))))
        # The scale keeps the head's input at unit variance, as the batch norm made it.
        embedding = nn.functional.normalize(features.float(), dim=1)
        scaled = embedding * embedding.shape[1] ** 0.5
        return embedding, self.head(scaled).float(), self.view(scaled).float().squeeze(1)
