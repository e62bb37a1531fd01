"""The images most like a picture, by its vector; the images of a study help each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from indexer.database.reader import Database
from indexer.database.vectors.index import Vectors
from indexer.database.vectors.shards import keys_of
from search.pictures.neighbours import nearest, nearest_groups
from search.request import Group

__all__ = ["CANDIDATES", "alike"]

#: At least so many images are compared anew by the mean vectors of their studies.
CANDIDATES = 200

# Vectors of one picture differ by less than this share of their length, in two encodings (under
# 0.03) and by two runtimes (under 0.04); those of two pictures by 0.2 at least.
_SAME = 0.06

Vector = npt.NDArray[np.float32]


def alike(
    database: Database,
    vectors: Vectors,
    query: Vector,
    k: int,
    *,
    same: str | None = None,
    keys: npt.NDArray[np.int64] | None = None,
    excluded: npt.NDArray[np.int64],
    group: Group | None = None,
    pool_studies: bool = True,
) -> list[tuple[str, float]]:
    """Ids and likeness of the `k` images most like a picture, best first.

    Likeness is the inner product of two search vectors as a share of the query's with itself: 1
    for the picture itself. Where that is found, however it is encoded, it comes first.

    Parameters
    ----------
    database, vectors
        Where to look, at one moment.
    query
        The picture's vector, shape (dimensions,).
    same
        The image of the database that the query is; None for a picture from elsewhere.
    keys, excluded
        The only images that may be found (None for all), and those that must not be.
    group
        ``"study"`` or ``"patient"``: of each study (or patient) the best image only.
    pool_studies
        Compare the mean vectors of whole studies, not those of single images.
    """
    wanted = max(CANDIDATES, k) if pool_studies else k
    if group is None:
        found = nearest(vectors, query, wanted, keys=keys, excluded=excluded)
    else:

        def group_of(ids: Sequence[str]) -> Mapping[str, str]:
            return database.owners(ids, group)

        found = nearest_groups(vectors, query, wanted, group_of, keys=keys, excluded=excluded)
    length = max(float(np.linalg.norm(query)), 1e-12)
    likeness = [(image, score / length) for image, score in found]
    twin = _twin(vectors, query, likeness)
    known = same or (twin[0] if twin else None)
    if pool_studies:
        mates = database.mates([*(image for image, _ in found), *([known] if known else [])])
        centre = _mean(vectors, mates[known]) if known else query
        likeness = _by_study(vectors, centre, likeness, mates)
    if twin:
        # A picture with more findings may score higher than the picture itself.
        others = ((image, min(score, twin[1])) for image, score in likeness if image != twin[0])
        likeness = [twin, *others]
    return likeness[:k]


def _twin(
    vectors: Vectors, query: Vector, found: Sequence[tuple[str, float]]
) -> tuple[str, float] | None:
    """The image among some, with its likeness, that shows the very same picture."""
    if not found:
        return None
    rows = vectors.vectors_of(keys_of([image for image, _ in found]))
    distances = np.linalg.norm(rows - query, axis=1)
    place = int(distances.argmin())
    return found[place] if distances[place] <= _SAME * np.linalg.norm(query) else None


def _mean(vectors: Vectors, images: Sequence[str]) -> Vector:
    mean: Vector = vectors.vectors_of(keys_of(images)).mean(0)
    return mean


def _by_study(
    vectors: Vectors,
    query: Vector,
    found: Sequence[tuple[str, float]],
    mates: Mapping[str, Sequence[str]],
) -> list[tuple[str, float]]:
    """Images in the order of their studies' likeness; within a study their own decides."""
    direction = query / max(float(query @ query), 1e-12)
    studies = {image: tuple(mates[image]) for image, _ in found}
    scores = {
        study: float(_mean(vectors, study) @ direction) for study in sorted(set(studies.values()))
    }
    ranked = sorted(found, key=lambda hit: (-scores[studies[hit[0]]], -hit[1], hit[0]))
    return [(image, scores[studies[image]]) for image, _ in ranked]
