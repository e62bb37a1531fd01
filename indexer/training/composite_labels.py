"""Composite labels of pictures with several findings, for the CNN that is trained on them next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from indexer.annotation import Annotation
from indexer.cascade.labels import LabelSet
from indexer.cascade.networks.annotator import Annotator
from indexer.datasets.mining import encode_sequences
from indexer.learning.composite_labels import cluster, joint_vectors
from indexer.training.recipe import Recipe

__all__ = ["LONGEST", "Composites", "find_composites"]

_FloatArray = npt.NDArray[np.float32]
# The longest human annotation has eight words; one more ends it.
LONGEST = 8


@dataclass(frozen=True, slots=True)
class Composites:
    """Labels finer than a finding, and the images that carry them.

    Parameters
    ----------
    names
        Such as ``"opacity, base, left"``; only of findings that were split.
    goals
        Per part of the data set, shape (images, names), multi-hot.
    joint, joint_labels
        Shape (n, units): the joint vectors that were clustered, and the label of each.
    """

    names: tuple[str, ...]
    goals: Mapping[str, _FloatArray]
    joint: _FloatArray
    joint_labels: tuple[str, ...]

    @classmethod
    def none(cls, images: Mapping[str, int]) -> Composites:
        """No labels, for this many images of each part."""
        goals = {part: np.zeros((count, 0), np.float32) for part, count in images.items()}
        return cls((), goals, np.zeros((0, 0), np.float32), ())


def find_composites(
    annotator: Annotator,
    labels: LabelSet,
    annotations: Mapping[str, Sequence[Sequence[Annotation]]],
    vectors: Mapping[str, _FloatArray],
    recipe: Recipe,
) -> Composites:
    """Cluster the joint vectors of every annotation of every `train` image, finding by finding.

    Shin et al. (section 5) have one annotation an image; here an image carries the composite
    label of each of its annotations. Those of other parts get the label whose mean is nearest.

    Parameters
    ----------
    annotator
        Of the round before, in evaluation mode.
    annotations, vectors
        Per part, each image's annotations, and search vectors of shape (images, dimensions).
    recipe
        Its `clusters` are those of each large finding; where None, there is one for every
        `images_per_label` annotations (see `indexer.learning.composite_labels.cluster`).
    """
    joint: dict[str, _FloatArray] = {}
    owners, tokens = {}, {}
    for part, images in annotations.items():
        owners[part], tokens[part] = encode_sequences(images, labels, LONGEST)
        held = torch.from_numpy(vectors[part][owners[part]])
        joint[part] = joint_vectors(annotator, held, tokens[part])
    words = [
        [labels.vocabulary[token] for token in row[: list(row).index(0)]]
        for row in tokens["train"].tolist()
    ]
    diseases = [{a.disease for a in annotations["train"][owner]} for owner in owners["train"]]
    found = cluster(
        joint["train"],
        words,
        companions=[others - {line[0]} for others, line in zip(diseases, words, strict=True)],
        images_per_label=recipe.images_per_label,
        deviations=recipe.deviations,
        k=recipe.clusters,
        seed=recipe.seed,
    )
    # A finding that was not split is a label already.
    fine = [n for n, disease in enumerate(found.diseases) if found.diseases.count(disease) > 1]
    if not fine:
        return Composites.none({part: len(images) for part, images in annotations.items()})
    means = np.stack([joint["train"][found.rows == n].mean(0) for n in fine])
    first = np.array([labels.vocabulary.index(found.diseases[n]) for n in fine])
    goals = {}
    for part, images in annotations.items():
        goal = goals[part] = np.zeros((len(images), len(fine)), np.float32)
        if part == "train":
            near = np.searchsorted(fine, found.rows)
            split = np.isin(found.rows, fine)
        else:
            far = ((joint[part][:, None] - means[None]) ** 2).sum(2)
            far[tokens[part][:, :1] != first] = np.inf
            near, split = far.argmin(1), np.isfinite(far.min(1))
        goal[owners[part][split], near[split]] = 1
    taken = np.flatnonzero(np.isin(found.rows, fine))
    return Composites(
        tuple(found.names[n] for n in fine),
        goals,
        joint["train"][taken],
        tuple(found.names[n] for n in found.rows[taken]),
    )
