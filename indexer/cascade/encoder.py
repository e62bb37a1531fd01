"""The CNN: from a picture to an embedding, a score for every label, and a place among sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import timm
import torch
from torch import Tensor, nn

__all__ = ["Encoder", "Member", "Outputs"]


class Outputs(NamedTuple):
    """What the CNN says of n pictures, all float32.

    Parameters
    ----------
    embedding
        Shape (n, dimensions), unit length.
    logits
        Shape (n, labels).
    view
        Shape (n,): logit of a lateral view.
    sentence
        Shape (n, sentences), unit length: the picture's place among sentence vectors; of no
        columns where the encoder has no sentence head.
    """

    embedding: Tensor
    logits: Tensor
    view: Tensor
    sentence: Tensor


class Member(nn.Module):
    """A timm backbone, a projection to the embedding, and linear heads on it.

    The heads read the embedding alone, so whatever tells findings apart is in the vector that
    the search compares.

    Parameters
    ----------
    backbone
        A timm model name.
    dimensions
        Length of the embedding.
    labels
        Number of labels: findings, then finding + qualifier pairs.
    sentences
        Length of a sentence's vector; 0 leaves that head out.
    drop_path
        Share of residual branches left out while training (stochastic depth).
    """

    def __init__(
        self,
        backbone: str,
        dimensions: int,
        labels: int,
        sentences: int = 0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        options: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
        self.backbone = timm.create_model(
            backbone, pretrained=False, in_chans=1, num_classes=0, **options
        )
        self.drop = nn.Dropout(0.2)
        features: int = self.backbone.num_features  # type: ignore[assignment]
        self.projection = nn.Linear(features, dimensions)
        self.norm = nn.BatchNorm1d(dimensions)
        self.head = nn.Linear(dimensions, labels)
        # One logit more: is the view lateral?
        self.view = nn.Linear(dimensions, 1)
        self.sentence = nn.Linear(dimensions, sentences) if sentences else None

    def forward(self, pictures: Tensor) -> Outputs:
        """Read pictures of shape (n, 1, height, width), grey values 0..255 of any dtype."""
        pixels = pictures.float().div(127.5).sub(1)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        features = self.norm(self.projection(self.drop(self.backbone(pixels))))
        # The scale keeps the heads' input at unit variance, as the batch norm made it.
        embedding = nn.functional.normalize(features.float(), dim=1)
        scaled = embedding * embedding.shape[1] ** 0.5
        place = scaled[:, :0] if self.sentence is None else self.sentence(scaled).float()
        return Outputs(
            embedding,
            self.head(scaled).float(),
            self.view(scaled).float().squeeze(1),
            nn.functional.normalize(place, dim=1),
        )


class Encoder(nn.Module):
    """One or several `Member`s that read a picture side by side as one CNN.

    Their scores are averaged. Their embeddings, set side by side, are turned into one of
    `dimensions` by an orthogonal projection, whose inner products are nearly the mean of the
    members' own.

    Parameters
    ----------
    backbone, dimensions, labels, sentences
        As of `Member`.
    members
        How many.
    """

    def __init__(
        self, backbone: str, dimensions: int, labels: int, sentences: int = 0, members: int = 1
    ) -> None:
        super().__init__()
        # Only their joint place among sentences is asked for, so the members' own heads are gone.
        self.members = nn.ModuleList(Member(backbone, dimensions, labels) for _ in range(members))
        self.join = nn.Linear(members * dimensions, dimensions, bias=False) if members > 1 else None
        self.sentence = nn.Linear(dimensions, sentences) if sentences else None

    def load_members(self, members: Sequence[Member]) -> None:
        """Take over trained members."""
        for own, other in zip(self.members, members, strict=True):
            state = other.state_dict()
            own.load_state_dict({k: v for k, v in state.items() if not k.startswith("sentence")})

    def forward(self, pictures: Tensor) -> Outputs:
        """Read pictures of shape (n, 1, height, width), grey values 0..255 of any dtype."""
        parts: list[Outputs] = [member(pictures) for member in self.members]
        embedding = self.joined(torch.cat([part.embedding for part in parts], 1))
        logits = torch.stack([part.logits for part in parts]).mean(0)
        view = torch.stack([part.view for part in parts]).mean(0)
        return Outputs(embedding, logits, view, self.place(embedding))

    def joined(self, embeddings: Tensor) -> Tensor:
        """One embedding of shape (n, dimensions) for the members' own side by side."""
        if self.join is None:
            return embeddings
        return nn.functional.normalize(self.join(embeddings), dim=1)

    def place(self, embedding: Tensor) -> Tensor:
        """Unit vectors of shape (n, sentences): the places of embeddings among sentences."""
        if self.sentence is None:
            return embedding[:, :0]
        scaled = embedding * embedding.shape[1] ** 0.5
        return nn.functional.normalize(self.sentence(scaled), dim=1)
