"""Vectors of a database's annotation texts: a cache in its folder that may be deleted any time.

One file for one set of texts and one sentence model: an ``.npz`` behind its BLAKE3 checksum. A
reader that may not write keeps the vectors in memory.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import threading
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from indexer.database.access import share
from indexer.words import sentences

__all__ = ["damaged", "kept_meanings", "meanings"]

_log = logging.getLogger(__name__)

# Texts are encoded in parts of this many, some ten seconds of work, and each part is kept at once.
_CHUNK = 2048


def meanings(
    folder: Path,
    texts: Iterable[str],
    known: Mapping[str, npt.NDArray[np.float32]] | None = None,
) -> dict[str, npt.NDArray[np.float32]]:
    """The sentence vector of each text, shape (384,), unit length.

    Vectors that an older state of the cache has are taken from there; only new texts are encoded.

    Parameters
    ----------
    folder
        ``semantic/`` of a database.
    texts
        Repetitions count once.
    known
        Vectors that are not in the folder: what `kept_meanings` gave before it was emptied.

    Raises
    ------
    MissingExtraError
        The sentence model is not installed.
    """
    wanted = sorted(set(texts))
    same = _read(_path(folder, wanted))
    if same is not None and same.keys() == set(wanted):
        return same
    known = {**(known or {}), **kept_meanings(folder)}
    fresh = [text for text in wanted if text not in known]
    for start in range(0, len(fresh), _CHUNK):
        if start:
            _keep(folder, known)
        some = fresh[start : start + _CHUNK]
        known.update(zip(some, sentences.encode(some), strict=True))
    found = {text: known[text] for text in wanted}
    _keep(folder, found)
    return found


def kept_meanings(folder: Path) -> dict[str, npt.NDArray[np.float32]]:
    """What the cache holds of this sentence model, of any state of the database."""
    try:
        files = sorted(folder.glob(f"annotations-{_model()}-*.vectors"))
    except OSError:
        # Opening a database that this user may not read raises an error elsewhere.
        return {}
    return {text: vector for file in files for text, vector in (_read(file) or {}).items()}


def damaged(folder: Path) -> list[Path]:
    """Files of the cache that cannot be read; they are made anew when they are needed.

    A file where the folder should be is one.
    """
    if folder.is_file():
        return [folder]
    return [path for path in sorted(folder.glob("*.vectors")) if _read(path) is None]


def _model() -> str:
    """Changes with the sentence model."""
    try:
        found = version(sentences.MODEL)
    except PackageNotFoundError:
        found = "none"
    return _digest([sentences.MODEL, found])[:8]


def _path(folder: Path, texts: Sequence[str]) -> Path:
    return folder / f"annotations-{_model()}-{_digest(texts)}.vectors"


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16]


def _read(path: Path) -> dict[str, npt.NDArray[np.float32]] | None:
    """What a file of the cache holds; None where it is not there or not whole."""
    try:
        content = path.read_bytes()
        checksum, payload = content[: blake3.digest_size], content[blake3.digest_size :]
        if blake3(payload).digest() != checksum:
            return None
        with np.load(io.BytesIO(payload), allow_pickle=False) as data:
            texts = json.loads(data["texts"].tobytes())
            vectors = data["vectors"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if vectors.shape != (len(texts), sentences.DIMENSIONS) or vectors.dtype != np.float32:
        return None
    return dict(zip(texts, vectors, strict=True))


def _keep(folder: Path, found: dict[str, npt.NDArray[np.float32]]) -> None:
    """Write vectors in the place of all that was kept before, where that is allowed."""
    texts = sorted(found)
    try:
        _write(_path(folder, texts), texts, np.array([found[text] for text in texts], np.float32))
    except OSError as error:
        # A database may be read by those who may not write it.
        _log.debug("the vectors of annotations are kept in memory: %s", error)


def _write(path: Path, texts: Sequence[str], vectors: npt.NDArray[np.float32]) -> None:
    if not path.parent.is_dir():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        share(path.parent)
    others = [p for p in path.parent.glob("annotations-*") if p != path]
    # Readers may write at the same time: each has a draft of its own, and the last one stays.
    draft = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.tmp")
    names = np.frombuffer(json.dumps(texts).encode(), np.uint8)
    payload = io.BytesIO()
    np.savez(payload, texts=names, vectors=vectors.reshape(len(texts), sentences.DIMENSIONS))
    with open(draft, "xb", opener=_private) as file:
        file.write(blake3(payload.getvalue()).digest() + payload.getvalue())
    share(draft)
    draft.replace(path)
    for other in others:
        other.unlink(missing_ok=True)


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
