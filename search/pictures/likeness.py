"""The images and studies most like a picture; the images of a study help each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from indexer.cascade.interpretation.likeness import Likeness
from indexer.database.vectors.shards import vector_keys
from search.pictures.neighbours import nearest, nearest_groups
from search.pictures.query import NEAR, SAME, QueryPicture
from search.request import Group
from search.snapshot import Snapshot
from search.stores.vectors import EVERYTHING, Bounds, VectorStore

__all__ = ["MIN_CANDIDATES", "Neighbour", "alike", "own_images"]

#: At least this many images are compared, however few are asked for.
MIN_CANDIDATES = NEAR

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An image that is like a picture, or the one that stands for its study or patient.

    Parameters
    ----------
    id
        Image id.
    likeness
        1 for the same picture; else below 1 (`indexer.cascade.interpretation.likeness.Likeness`).
    images
        Of a row of a group its images, this one first; else this one alone.
    share
        What the likeness is made of, which tells rows apart that are as like; None for the same
        picture.
    """

    id: str
    likeness: float
    images: tuple[str, ...]
    share: float | None


class _Candidate(NamedTuple):
    """An image, with what decides on its place; a share is an inner product with the query's
    vector, as a share of that vector's with itself."""

    id: str
    study: str
    #: Whether it is the very same picture.
    same: bool
    #: Likeness of its study's mean vector, or of its own.
    share: float
    own: float


def alike(
    snapshot: Snapshot,
    picture: QueryPicture,
    count: int,
    *,
    within: Bounds = EVERYTHING,
    exclude: Group | None = None,
    group: Group | None = None,
    pool_studies: bool = True,
) -> list[Neighbour]:
    """The `count` images, studies or patients most like a picture, best first.

    An image is as like it as the mean vector of its study is. Among the images of a study the same
    view comes first, then the more alike by their own vectors. What is left out has no influence on
    the likeness and the order of the rest.

    Parameters
    ----------
    count
        Rows that are wanted.
    within
        Which images may be found.
    exclude
        Leave out the picture's own study, or patient.
    group
        One row for each study, or patient.
    pool_studies
        Compare the mean vectors of whole studies, not those of single images.
    """
    vectors, database = snapshot.vectors(), snapshot.database
    study = list(database.image_ids(study=picture.study)) if picture.study else []
    patient = list(database.image_ids(patient=picture.patient)) if picture.patient else []
    left_out = own_images(picture, exclude, snapshot)
    studies = _Studies(snapshot)

    def group_owners(ids: Sequence[str]) -> Mapping[str, str]:
        return database.owners(ids, group) if group == "patient" else studies.owners(ids)

    # The query's own study is handled apart, so that leaving it out does not change the other
    # results.
    bounds = replace(within, excluded=vector_keys(sorted(study)))

    def look(wanted: int) -> list[str]:
        if picture.near and wanted in (NEAR, len(picture.near)) and bounds.are_open:
            return [*picture.near]
        return [image for image, _ in nearest(vectors, picture.vector, wanted, bounds)]

    if group is None:
        found = look(max(MIN_CANDIDATES, count) + len(patient))
    else:
        wanted = count + len(patient)
        found = nearest_groups(look, wanted, group_owners, len(vectors), at_least=MIN_CANDIDATES)
    candidates = _candidates(studies, vectors, picture, [*found, *study], pool_studies)
    hidden = {*within.unusual.tolist()}
    keys = vector_keys([one.id for one in candidates]).tolist()
    kept = [
        one
        for one, key in zip(candidates, keys, strict=True)
        if one.id not in left_out and key not in hidden
    ]
    if within.choice is not None:
        # The images found meet the conditions, but others of their studies may not.
        others = sorted({one.id for one in kept} - {*found})
        allowed = vectors.allowed(vector_keys(others), bounds) if others else ()
        barred = {image for image, may in zip(others, allowed, strict=True) if not may}
        kept = [one for one in kept if one.id not in barred]
    kept.sort(key=lambda one: (not one.same, -one.share, one.study, -one.own, one.id))
    owners = group_owners([one.id for one in kept]) if group else {one.id: one.id for one in kept}
    rows = _rows(kept, owners, count)
    views = database.views([one.id for row in rows for one in row])
    likeness = Likeness.of(snapshot.manifest.likeness)

    def place(one: _Candidate) -> tuple[bool, float, str, bool, float, str]:
        other_view = views[one.id] != picture.view
        return (not one.same, -one.share, one.study, other_view, -one.own, one.id)

    ordered = sorted((sorted(row, key=place) for row in rows), key=lambda row: place(row[0]))
    return [
        Neighbour(
            row[0].id,
            1.0 if row[0].same else likeness.chance(row[0].share),
            tuple(one.id for one in row),
            None if row[0].same else row[0].share,
        )
        for row in islice(ordered, count)
    ]


def own_images(picture: QueryPicture, exclude: Group | None, snapshot: Snapshot) -> set[str]:
    """The images that must not be found: the picture itself where it is asked for by its id, and
    all of its study, or patient, where these are left out."""
    ids = snapshot.database.image_ids
    own = {picture.id} if picture.id else set()
    if exclude and picture.study:
        own |= {*ids(study=picture.study)}
    if exclude == "patient" and picture.patient:
        own |= {*ids(patient=picture.patient)}
    return own


class _Studies:
    """The studies of images and their images, each looked up once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._images = snapshot.database.ledger.images
        self._owners: dict[str, str] = {}
        self._members: dict[str, list[str]] = {}

    def owners(self, ids: Sequence[str]) -> dict[str, str]:
        """For each image that is known, its study."""
        unknown = [image for image in ids if image not in self._owners]
        for study, images in self._images.studies_with(unknown).items():
            self._members[study] = images
            self._owners.update(dict.fromkeys(images, study))
        return {image: self._owners[image] for image in ids if image in self._owners}

    def members(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """For each study that some images are of, the ids of all its images, ascending."""
        return {study: self._members[study] for study in dict.fromkeys(self.owners(ids).values())}


def _candidates(
    studies: _Studies,
    vectors: VectorStore,
    picture: QueryPicture,
    found: Iterable[str],
    pool_studies: bool,
) -> list[_Candidate]:
    """Some images, and all others of their studies where these are pooled."""
    unique = [*dict.fromkeys(found)]
    members = studies.members(unique)
    of_study = {image: study for study, images in members.items() for image in images}
    images = sorted(of_study if pool_studies else (i for i in unique if i in of_study))
    if not images:
        return []
    place = {image: row for row, image in enumerate(images)}
    rows = vectors.stored_vectors(vector_keys(images))
    query = picture.vector
    own = (rows @ (query / max(float(query @ query), 1e-12))).tolist()
    same = (np.linalg.norm(rows - query, axis=1) <= SAME * np.linalg.norm(query)).tolist()
    share = own
    if pool_studies:
        means = _means(rows, place, members)
        centre = query
        if picture.indexed is not None:
            centre = means[of_study[picture.indexed]]
        direction = centre / max(float(centre @ centre), 1e-12)
        of_means = {study: float(mean @ direction) for study, mean in means.items()}
        share = [of_means[of_study[image]] for image in images]
    return [
        _Candidate(image, of_study[image], *judged)
        for image, judged in zip(images, zip(same, share, own, strict=True), strict=True)
    ]


def _means(
    rows: npt.NDArray[np.float32], place: Mapping[str, int], members: Mapping[str, Sequence[str]]
) -> dict[str, Vector]:
    """The mean of the rows of each study's images."""
    sizes = np.array([len(images) for images in members.values()])
    together = rows[[place[image] for images in members.values() for image in images]]
    sums = np.add.reduceat(together, np.cumsum(sizes) - sizes, axis=0)
    return dict(zip(members, sums / sizes[:, None].astype(np.float32), strict=True))


def _rows(
    candidates: Sequence[_Candidate], owners: Mapping[str, str], count: int
) -> list[list[_Candidate]]:
    """The first `count` groups, and those that are as alike as the last of them."""
    rows: dict[str, list[_Candidate]] = {}
    for one in candidates:
        owner = owners[one.id]
        if owner not in rows and len(rows) >= count:
            last = next(reversed(rows.values()))[0]
            if (one.same, one.share, one.study) != (last.same, last.share, last.study):
                continue
        rows.setdefault(owner, []).append(one)
    return list(rows.values())
