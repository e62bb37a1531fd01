"""The picture that others are compared with: its vector, and whom it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from indexer.database.vectors.shards import vector_keys
from indexer.errors import ArchiveError, CxrdexError, ImageError, QueryError
from search.models import Models
from search.pictures.neighbours import nearest
from search.request import ImageFile, ImageId, PictureSource, Upload
from search.snapshot import Snapshot

__all__ = ["NEAR", "SAME", "QueryPicture", "id_key", "query_picture"]

#: Two vectors that differ by a smaller share of their length than this are of the same picture. It
#: is under 0.03 between two encodings, under 0.04 between two runtimes, and at least 0.2 between
#: two pictures.
SAME = 0.06
#: The same picture is looked for among this many neighbours, as pictures with more findings may
#: score higher than itself.
NEAR = 200


@dataclass(frozen=True, slots=True)
class QueryPicture:
    """A picture to find similar ones to.

    Parameters
    ----------
    vector
        Shape (dimensions,).
    view
        ``"frontal"`` or ``"lateral"``.
    id
        Of an image of the database, which is then left out itself; else None.
    indexed
        The image of the database that shows it, asked for by its id or not.
    study, patient
        Whom it shows; None where that is not known.
    near
        The `NEAR` images nearest to it, nearest first, where they have been looked for among all.
    """

    vector: npt.NDArray[np.float32]
    view: str
    id: str | None = None
    indexed: str | None = None
    study: str | None = None
    patient: str | None = None
    near: tuple[str, ...] = ()


def query_picture(
    picture: PictureSource, snapshot: Snapshot, models: Models, *, whose: bool
) -> QueryPicture:
    """The vector of a picture.

    Parameters
    ----------
    whose
        Whether its study and patient must be known.

    Raises
    ------
    NotFoundError
        No image, or more than one, has this id.
    ArchiveError
        The file is no chest radiograph that can be read.
    DatabaseMismatch
        The bundle is not the one the database was made with.
    QueryError
        The file does not say which study and patient it is of, or the key is another one.
    """
    if isinstance(picture, ImageId):
        image_id = snapshot.resolve(picture)
        return replace(_indexed(image_id, snapshot), id=image_id)
    name = picture.name if isinstance(picture, Upload) else str(picture.path)
    if isinstance(picture, ImageFile) and picture.path.is_dir():
        raise ArchiveError(f"{name} is a folder; name one image file")
    manifest = snapshot.manifest
    key = id_key(name, snapshot, needed=whose)
    models.prepare_decoding(manifest, key)
    snapshot.database.layout.check(manifest, models.bundle())
    try:
        film = models.film(picture, manifest, key)
    except ImageError as error:
        raise ArchiveError(f"{name}: {error.detail} ({error.reason})") from error
    decoded, (vector, seen) = film.decoded, film.look()
    known = decoded.image_id if key and decoded.image_id in snapshot.database else None
    near: tuple[str, ...] = ()
    if known is None:
        near = tuple(image for image, _ in nearest(snapshot.vectors(), vector, NEAR))
        known = _same_picture(vector, near, snapshot)
    if known is not None:
        # As it was read for the database, so that it finds what its id finds.
        return _indexed(known, snapshot)
    from indexer.archive.deidentify import pseudonym
    from indexer.database.text.documents import choose_view

    view = choose_view(decoded.metadata.view, seen)
    # A file that names no study has one made of its own image id.
    if not key or decoded.study == pseudonym(key, "study", f"image:{decoded.image_id}"):
        if whose:
            raise QueryError(
                f"{name} does not say which study or patient it is of, so neither can be left out"
            )
        return QueryPicture(vector, view, near=near)
    return QueryPicture(vector, view, study=decoded.study, patient=decoded.patient, near=near)


def _indexed(image_id: str, snapshot: Snapshot) -> QueryPicture:
    owners = snapshot.database.owners
    study, patient = owners([image_id], "study"), owners([image_id], "patient")
    return QueryPicture(
        snapshot.vectors().stored_vectors(vector_keys([image_id]))[0],
        snapshot.database.views([image_id])[image_id],
        indexed=image_id,
        study=study[image_id],
        patient=patient[image_id],
    )


def _same_picture(
    vector: npt.NDArray[np.float32], near: Sequence[str], snapshot: Snapshot
) -> str | None:
    """The image that shows the very same picture, however it is encoded."""
    if not near:
        return None
    rows = snapshot.vectors().stored_vectors(vector_keys(near))
    distances = np.linalg.norm(rows - vector, axis=1)
    place = int(distances.argmin())
    return near[place] if distances[place] <= SAME * np.linalg.norm(vector) else None


def id_key(name: str, snapshot: Snapshot, *, needed: bool) -> bytes:
    """The secret behind the database's ids, without which a file's study is unknown; empty where it
    is not here and not needed."""
    from indexer.archive.deidentify import fingerprint
    from indexer.archive.id_key import find_key, key_path

    manifest = snapshot.manifest
    try:
        key = find_key() or b""
    except CxrdexError:
        if needed:
            raise
        return b""
    if fingerprint(key) == manifest.key:
        return key
    if not needed:
        return b""
    other = fingerprint(key) if key else f"that of {key_path()}, which is missing,"
    raise QueryError(
        f"{name}: its study and patient cannot be compared with those of "
        f"{snapshot.database.layout.root}, whose id key is {manifest.key} and not {other}; name "
        "that key's file in CXRDEX_KEY_FILE, or query by id"
    )
