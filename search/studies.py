"""The images of a study help each other: likeness by the mean vector of whole studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from indexer.database.embeddings import keys_of
from indexer.database.vectors import Vectors

__all__ = ["CANDIDATES", "by_study", "mean_vector"]

#: So many images are compared anew by their studies.
CANDIDATES = 200


def mean_vector(vectors: Vectors, images: Sequence[str]) -> npt.NDArray[np.float32]:
    """The mean vector of some images, shape (dimensions,)."""
    mean: npt.NDArray[np.float32] = vectors.vectors_of(keys_of(images)).mean(0)
    return mean


def by_study(
    vectors: Vectors,
    query: npt.NDArray[np.floating],
    found: Sequence[tuple[str, float]],
    mates: Mapping[str, Sequence[str]],
) -> list[tuple[str, float]]:
    """Images in the order of the likeness of their studies, with that likeness.

    Parameters
    ----------
    query
        Shape (dimensions,).
    found
        The images and their own scores; among images of one study these decide.
    mates
        For each image, all images of its study.
    """
    studies = {image: tuple(mates[image]) for image, _ in found}
    direction = query / max(float(np.linalg.norm(query)), 1e-12)
    scores = {
        study: float(mean_vector(vectors, study) @ direction) for study in set(studies.values())
    }
    ranked = sorted(found, key=lambda hit: (-scores[studies[hit[0]]], -hit[1], hit[0]))
    return [(image, scores[studies[image]]) for image, _ in ranked]
