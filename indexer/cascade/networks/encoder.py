"""The CNN: from a picture to an embedding, a score for every label, and a place among sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from indexer.cascade.networks.backbones import build_backbone

__all__ = ["Encoder", "EnsembleMember", "Outputs"]

# Logits are padded to a multiple of this, the numbers in two of the widest registers.
_REGISTERS = 32


class Outputs(NamedTuple):
    """What the CNN says of n pictures, all float32.

    Parameters
    ----------
    embedding
        Shape (n, dimensions): of an `EnsembleMember` of unit length, of an `Encoder` the search
        vector.
    logits
        Shape (n, labels).
    view
        Shape (n,): logit of a lateral view.
    sentence
        Shape (n, sentences): the picture's place among sentence vectors, of an `EnsembleMember` of
        unit length; of no columns where there is no sentence head.
    """

    embedding: Tensor
    logits: Tensor
    view: Tensor
    sentence: Tensor


class EnsembleMember(nn.Module):
    """A backbone, a projection to the embedding, and linear heads on it.

    The heads read the embedding alone, so whatever tells findings apart is in the vector that
    the search compares.

    Parameters
    ----------
    backbone
        Its name (see `indexer.cascade.networks.backbones.build_backbone`).
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
        self.backbone = build_backbone(backbone, drop_path)
        self.drop = nn.Dropout(0.2)
        features: int = self.backbone.num_features  # type: ignore[assignment]
        self.projection = nn.Linear(features, dimensions)
        self.norm = nn.BatchNorm1d(dimensions)
        self.head = nn.Linear(dimensions, labels)
        # One more logit tells whether the view is lateral.
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
        return Outputs(
            embedding,
            self.head(scaled).float(),
            self.view(scaled).float().squeeze(1),
            self.place(embedding),
        )

    def place(self, embedding: Tensor) -> Tensor:
        """Where embeddings of shape (n, dimensions) lie among sentences: (n, sentences)."""
        scaled = embedding * embedding.shape[1] ** 0.5
        place = scaled[:, :0] if self.sentence is None else self.sentence(scaled).float()
        return nn.functional.normalize(place, dim=1)


class Encoder(nn.Module):
    """One or several `EnsembleMember`s that read a picture side by side as one CNN.

    Their scores are averaged. The search vector is an orthogonal projection of their embeddings
    and of the labels' probabilities. The inner product of two such vectors is nearly the mean
    cosine of the members' embeddings, plus the expected number of labels that both pictures
    have, each counted with its worth: pictures are alike that look alike to the CNNs and share
    what is found.

    Parameters
    ----------
    backbones
        The name of each member's.
    dimensions, labels, sentences
        As of `EnsembleMember`.
    """

    worth: Tensor

    def __init__(
        self,
        backbones: Sequence[str],
        dimensions: int,
        labels: int,
        sentences: int = 0,
    ) -> None:
        super().__init__()
        # Only the joint sentence head is used, so the members have none of their own.
        self.members = nn.ModuleList(EnsembleMember(name, dimensions, labels) for name in backbones)
        self.register_buffer("worth", torch.ones(labels))
        self.join = nn.Linear(len(backbones) * dimensions + labels, dimensions, bias=False)
        self.sentence = nn.Linear(dimensions, sentences) if sentences else None

    def forward(self, pictures: Tensor) -> Outputs:
        """Read pictures of shape (n, 1, height, width), grey values 0..255 of any dtype."""
        parts: list[Outputs] = [member(pictures) for member in self.members]
        logits = torch.stack([part.logits for part in parts]).mean(0)
        view = torch.stack([part.view for part in parts]).mean(0)
        sides = self.side_by_side(torch.stack([part.embedding for part in parts]), logits)
        embedding = self.join(sides)
        return Outputs(embedding, logits, view, self.place(embedding))

    def side_by_side(self, embeddings: Tensor, logits: Tensor) -> Tensor:
        """What the search vector is projected from.

        Parameters
        ----------
        embeddings
            Shape (members, n, dimensions).
        logits
            Shape (n, labels), calibrated.

        Returns
        -------
        Tensor
            Shape (n, members * dimensions + labels).
        """
        # torch computes what is left over after its registers in another way: full ones make the
        # chances of a picture the same wherever it stands in its batch.
        count = logits.shape[1]
        full = nn.functional.pad(logits, (0, -count % _REGISTERS))
        chances = full.sigmoid()[:, :count] * self.worth.sqrt()
        return torch.cat([*(embeddings / len(embeddings) ** 0.5), chances], 1)

    def place(self, embedding: Tensor) -> Tensor:
        """Places among sentences, shape (n, sentences): the larger its inner product with the
        unit vector of a text, the better the text fits the picture."""
        if self.sentence is None:
            return embedding[:, :0]
        return self.sentence(embedding * embedding.shape[1] ** 0.5)  # type: ignore[no-any-return]
