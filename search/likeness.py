"""The images most like a picture, by its vector; the images of a study help each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from indexer.database.embeddings import keys_of
from indexer.database.reader import Database
from indexer.database.vectors import Vectors
from search.neighbours import nearest, nearest_groups

__all__ = ["CANDIDATES", "GROUPS", "alike"]

GROUPS = ("study", "patient")
#: At least so many images are compared anew by the mean vectors of their studies.
CANDIDATES = 200

Vector = npt.NDArray[np.float32]


def alike(
    database: Database,
    query: Vector,
    k: int,
    *,
    same: str | None = None,
    keys: npt.NDArray[np.int64] | None = None,
    excluded: npt.NDArray[np.int64],
    group: str | None = None,
    pool_studies: bool = True,
) -> list[tuple[str, float]]:
    """Ids and likeness of the `k` images most like a picture, best first.

    Likeness is the inner product of two search vectors as a share of the query's with itself: 1
    for the picture itself, which comes first wherever it may be found.

    Parameters
    ----------
    database
        Where to look.
    query
        The picture's vector, shape (dimensions,).
    same
        The image of the database that shows the very same picture, if there is one.
    keys, excluded
        The only images that may be found (None for all), and those that must not be.
    group
        One of `GROUPS`: of each study (or patient) the best image only.
    pool_studies
        Compare the mean vectors of whole studies, not those of single images.
    """
    vectors = database.vectors()
    vector = query
    if same is not None and pool_studies:
        vector = _mean(vectors, database.mates([same])[same])
    wanted = max(CANDIDATES, k) if pool_studies else k
    if group is None:
        found = nearest(vectors, vector, wanted, keys=keys, excluded=excluded)
    else:

        def group_of(ids: Sequence[str]) -> Mapping[str, str]:
            return database.owners(ids, "study" if group == "study" else "patient")

        found = nearest_groups(vectors, vector, wanted, group_of, keys=keys, excluded=excluded)
    length = max(float(np.linalg.norm(vector)), 1e-12)
    if pool_studies:
        found = _by_study(vectors, vector / length, found, database.mates([i for i, _ in found]))
    if same is not None and group is None:
        own = keys_of([same])
        if not np.isin(own, excluded).any() and (keys is None or np.isin(own, keys).any()):
            score = dict(found).get(same, length)
            found = [(same, score), *(hit for hit in found if hit[0] != same)]
    return [(image, score / length) for image, score in found[:k]]


def _mean(vectors: Vectors, images: Sequence[str]) -> Vector:
    mean: Vector = vectors.vectors_of(keys_of(images)).mean(0)
    return mean


def _by_study(
    vectors: Vectors,
    direction: Vector,
    found: Sequence[tuple[str, float]],
    mates: Mapping[str, Sequence[str]],
) -> list[tuple[str, float]]:
    """Images in the order of their studies' scores; within a study their own decide."""
    studies = {image: tuple(mates[image]) for image, _ in found}
    scores = {
        study: float(_mean(vectors, study) @ direction) for study in sorted(set(studies.values()))
    }
    ranked = sorted(found, key=lambda hit: (-scores[studies[hit[0]]], -hit[1], hit[0]))
    return [(image, scores[studies[image]]) for image, _ in ranked]
