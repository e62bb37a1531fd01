"""The two networks of a round: one names the disease, the other writes its annotation."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from indexer.cascade.networks.annotator import Annotator
from indexer.cascade.networks.backbones import build_backbone
from indexer.paper.recipe import FROZEN

__all__ = ["Classifier", "PaperAnnotator", "build_classifier"]


class _Perceptron(nn.Module):
    """A frozen embedding of unit length, and beside it one hidden layer over it.

    The embedding goes through as it is, since a layer that learns diseases forgets sides.
    """

    def __init__(self, dimensions: int, features: int, dropout: float) -> None:
        super().__init__()
        self.num_features = dimensions + features
        self.drop = nn.Dropout(dropout)
        self.layers = nn.Sequential(
            nn.Linear(dimensions, features), nn.BatchNorm1d(features), nn.ReLU()
        )

    def forward(self, embedding: Tensor) -> Tensor:
        # Unit length is a standard deviation of 1 / sqrt(dimensions).
        scaled = self.drop(embedding * embedding.shape[1] ** 0.5)
        return torch.cat([scaled, self.layers(scaled)], 1)


class Classifier(nn.Module):
    """A CNN with a softmax over labels; its pooled feature is the image embedding.

    Parameters
    ----------
    backbone
        Maps a batch to (n, num_features).
    labels
        Number of labels.
    """

    def __init__(self, backbone: nn.Module, labels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.features: int = backbone.num_features  # type: ignore[assignment]
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(self.features, labels)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (n, features) and label logits (n, labels), float32.

        Parameters
        ----------
        inputs
            Shape (n, 1, height, width), grey values 0..255; or (n, dimensions), the frozen
            embeddings.
        """
        if inputs.ndim == 4:
            inputs = inputs.float().div(127.5).sub(1).contiguous(memory_format=torch.channels_last)
        features = self.backbone(inputs)
        return features.float(), self.head(self.drop(features)).float()


def build_classifier(
    backbone: str, dimensions: int, features: int, labels: int, dropout: float = 0.0
) -> Classifier:
    """A fresh classifier.

    Parameters
    ----------
    backbone
        `FROZEN`, or a name for `build_backbone`.
    dimensions, features
        Of the frozen embedding and of the layer over it; unused by a CNN.
    dropout
        Of the frozen embedding in training.
    """
    if backbone == FROZEN:
        return Classifier(_Perceptron(dimensions, features, dropout), labels)
    return Classifier(build_backbone(backbone), labels)


class PaperAnnotator(Annotator):
    """An RNN in which every layer's state starts as the image embedding.

    As in the paper the embedding itself is the state where the sizes agree and `project` is
    false; else a learned projection of it. An LSTM's cell starts like its output.

    Parameters
    ----------
    dimensions
        Length of the embedding.
    words
        Size of the vocabulary; word 0 ends an annotation.
    """

    def __init__(
        self,
        dimensions: int,
        words: int,
        cell: Literal["gru", "lstm"],
        units: int,
        layers: int,
        project: bool,
    ) -> None:
        super().__init__(dimensions, words, cell, units, layers)
        self.project = project or units != dimensions
        if not self.project:
            self.start = nn.Identity()  # type: ignore[assignment]

    def initial_state(self, embedding: Tensor) -> tuple[Tensor, ...]:
        """State of every layer, each tensor of shape (layers, n, units), from the image alone."""
        if self.project:
            state = self.start(self.drop(embedding)).tanh()
            state = state.reshape(len(embedding), self.layers, -1).transpose(0, 1).contiguous()
        else:
            state = self.drop(embedding).expand(self.layers, -1, -1).contiguous()
        return (state,) if self.cell == "gru" else (state, state.clone())

    def loss(self, embedding: Tensor, tokens: Tensor) -> Tensor:
        """Mean cross-entropy of every word after the first, the state started by the image.

        Parameters
        ----------
        embedding
            Shape (n, dimensions).
        tokens
            Shape (n, steps + 1), -1 where there is no target.
        """
        logits = self(embedding, tokens[:, :-1].clamp(min=0))
        return nn.functional.cross_entropy(
            logits.flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=-1
        )
