"""All that decides how a product bundle comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from indexer.errors import RecipeError
from indexer.learning.changes import AppearanceChange

__all__ = ["Recipe"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides how a bundle comes out.

    Parameters
    ----------
    backbones
        A name for each CNN (see `networks.backbones.build_backbone`). They are trained one
        after the other on draws of their own, and read side by side. ImageNet weights are at hand
        for ``tf_efficientnet_lite0`` to ``tf_efficientnet_lite2``.
    dimensions
        Length of the embedding.
    borders, squash
        Cut even borders off the pictures; squash them to the square canvas, or pad them with black.
    size, crop
        Side of the canvas, and of the random crop the CNN is trained on, in pixels.
    min_images
        Labels and words of fewer training images are dropped.
    feedback
        Rounds of feedback: the last so many CNNs learn the composite labels of those before them.
        The first CNN never does.
    images_per_label, deviations, clusters
        How findings are split into composite labels (see `learning.composite_labels.cluster`); None
        for the paper's number of clusters.
    epochs, batch_size, learning_rate, weight_decay, drop_path
        Of the CNN (AdamW, one cycle, stochastic depth); its new layers learn five times as fast.
    kept
        The last so many CNNs are those of the bundle that training starts from, as they are.
    frozen
        So many of the backbone's first stages stay as they start; each makes a step cheaper.
    strong
        Augment by what changes from hospital to hospital, too.
    jpeg
        With `strong`, augment by JPEG compression.
    left_out
        Changes that augmentation leaves out, of appearance with `strong` alone.
    balanced
        Draw pictures of rare labels more often (see `indexer.training.sources.Sources`).
    averaged
        Share of all steps that the moving average of the weights spans; 0 for the last weights.
    interpolation
        Share of the way from the weights of the bundle that training starts from to the trained
        ones at which a CNN ends.
    teacher_weight
        Weight of what the teachers say where nobody says anything; without any the bundle that
        training starts from teaches.
    teacher_views
        From so many views of a picture the teachers tell (`indexer.training.cnn.teachers`).
    text_weight
        Weight of the contrastive terms between images and report sentences; 0 for none.
    finding_worth, normal_worth, detail_worth
        What a finding, ``normal``, and a pair or composite label that two images share count in
        the likeness of their search vectors, beside the mean cosine of the members' embeddings.
    cell, units, layers, annotator_epochs
        Of the RNN.
    pretrained
        Start from ImageNet weights.
    weights, grey_range
        Start from this file instead (see `indexer.learning.pretrained.load_weights`).
    seed
        Of every random draw.
    """

    name: str = "bundle"
    backbones: tuple[str, ...] = ("tf_efficientnet_lite0",) * 2
    dimensions: int = 256
    borders: bool = True
    squash: bool = True
    size: int = 256
    crop: int = 208
    min_images: int = 20
    feedback: int = 1
    images_per_label: int = 50
    deviations: float = 1.0
    clusters: int | None = None
    epochs: int = 5
    batch_size: int = 32
    learning_rate: float = 6e-4
    weight_decay: float = 0.02
    drop_path: float = 0.1
    kept: int = 0
    frozen: int = 0
    strong: bool = False
    jpeg: bool = False
    left_out: tuple[AppearanceChange, ...] = ()
    balanced: bool = True
    averaged: float = 0.15
    interpolation: float = 1.0
    teacher_weight: float = 0.25
    teacher_views: int = 1
    text_weight: float = 1.0
    finding_worth: float = 1.0
    normal_worth: float = 0.5
    detail_worth: float = 6.0
    cell: Literal["gru", "lstm"] = "gru"
    units: int = 256
    layers: int = 1
    annotator_epochs: int = 30
    pretrained: bool = True
    weights: str | None = None
    grey_range: float = 1.0
    seed: int = 0

    @property
    def trained(self) -> int:
        """How many CNNs are trained; they come before those that are kept."""
        return len(self.backbones) - self.kept if self.epochs else 0

    def check(self, *, start: bool, teachers: bool) -> None:
        """Refuse settings that do not go together.

        Parameters
        ----------
        start, teachers
            Whether training starts from a bundle, and is taught by others.

        Raises
        ------
        RecipeError
            It names the settings.
        """
        cnns = len(self.backbones)
        wrong = {
            "`epochs` 0 needs `start`: untrained CNNs say nothing": not (self.epochs or start),
            "`teachers` and `teacher_views` have no meaning with `epochs` 0": not self.epochs
            and (teachers or self.teacher_views > 1),
            "`jpeg` needs `strong`": self.jpeg and not self.strong,
            "`teacher_views` needs `teachers` or `start`": self.teacher_views > 1
            and not (teachers or start),
            "`kept` needs `start`: untrained CNNs say nothing": self.kept and not start,
            f"`kept` {self.kept} needs {self.kept} CNNs: give `backbones` for each, trained ones "
            "too": self.kept > cnns,
            f"`feedback` {self.feedback} needs {self.feedback} CNNs: give `backbones` as many "
            "times": self.feedback > cnns,
        }
        for text, is_so in wrong.items():
            if is_so:
                raise RecipeError(text)
