"""The picture that others are compared with: its vector, and whom it shows."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indexer.database.vectors.shards import id_of, keys_of
from indexer.errors import ArchiveError, ImageError, NotFoundError, QueryError
from search.language.tree import Prefix
from search.models import Models
from search.request import ImageId, Picture, Upload
from search.snapshot import Snapshot

__all__ = ["QueryPicture", "is_whole_id", "query_picture", "resolve"]

_ID = re.compile(r"[0-9a-f]{6,16}")
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class QueryPicture:
    """A picture to find the like of.

    Parameters
    ----------
    vector
        Shape (dimensions,).
    id
        Of an image of the database, which is then left out itself; else None.
    study, patient
        Whom it shows; None where that is not known.
    """

    vector: npt.NDArray[np.float32]
    id: str | None = None
    study: str | None = None
    patient: str | None = None


def query_picture(
    picture: Picture, snapshot: Snapshot, models: Models, *, whose: bool
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
        return _indexed(resolve(picture, snapshot), snapshot)
    name = picture.name if isinstance(picture, Upload) else str(picture.path)
    manifest = snapshot.manifest
    snapshot.database.layout.check(manifest, models.bundle())
    key = _key(name, snapshot) if whose else b""
    try:
        decoded = models.decode(picture, manifest, key)
    except ImageError as error:
        raise ArchiveError(f"{name}: {error.detail} ({error.reason})") from error
    vector = models.read(decoded).embedding
    if not whose:
        return QueryPicture(vector)
    from indexer.archive.deidentify import pseudonym

    known = next(snapshot.database.documents([decoded.image_id]), None)
    if known is not None:
        return QueryPicture(vector, None, known["study"], known["patient"])
    # A file that names no study has one made of its own image id.
    if decoded.study == pseudonym(key, "study", f"image:{decoded.image_id}"):
        raise QueryError(
            f"{name} does not say which study or patient it is of, so neither can be left out"
        )
    return QueryPicture(vector, None, decoded.study, decoded.patient)


def is_whole_id(text: str) -> bool:
    """Whether `text` is an id in full, for which no other need be looked at."""
    return len(text.strip()) == _DIGITS


def resolve(image: ImageId, snapshot: Snapshot) -> str:
    """The id that an id, or the beginning of one, stands for.

    Raises
    ------
    NotFoundError
        No image, or more than one, has this id.
    """
    prefix, place = image.text.strip().lower(), snapshot.database.layout.root
    if not _ID.fullmatch(prefix):
        raise NotFoundError(
            f'"{image.text}" is no image id: ids are {_DIGITS} hexadecimal digits, '
            "of which the first 6 may do"
        )
    if len(prefix) == _DIGITS:
        if prefix not in snapshot.database:
            raise NotFoundError(f"no image of {place} has the id {prefix}")
        return prefix
    keys = snapshot.text.keys(Prefix(prefix, "id"))
    if len(keys) != 1:
        many = f"{len(keys)} images" if len(keys) else "no image"
        raise NotFoundError(f"{many} of {place} have an id that begins with {prefix}")
    return id_of(int(keys[0]))


def _indexed(image_id: str, snapshot: Snapshot) -> QueryPicture:
    owners = snapshot.database.owners
    study, patient = owners([image_id], "study"), owners([image_id], "patient")
    vector = snapshot.vectors().vectors_of(keys_of([image_id]))[0]
    return QueryPicture(vector, image_id, study[image_id], patient[image_id])


def _key(name: str, snapshot: Snapshot) -> bytes:
    """The secret behind the database's ids, without which a file's study is unknown."""
    from indexer.archive.deidentify import fingerprint
    from indexer.archive.id_key import load_key

    key, manifest = load_key(), snapshot.manifest
    if fingerprint(key) != manifest.key:
        raise QueryError(
            f"{name}: its study and patient cannot be compared with those of "
            f"{snapshot.database.layout.root}, whose id key is {manifest.key} and not "
            f"{fingerprint(key)}; name that key's file in CXRDEX_KEY_FILE, or query by id"
        )
    return key
