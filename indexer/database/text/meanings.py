"""Vectors of a database's annotation texts: a cache in its folder that may be deleted any time.

One ``.npz`` for one set of texts and one sentence model. A reader that may not write keeps the
vectors in memory.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import zipfile
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from indexer.words import sentences

__all__ = ["meanings"]

_log = logging.getLogger(__name__)


def meanings(folder: Path, texts: Iterable[str]) -> dict[str, npt.NDArray[np.float32]]:
    """The sentence vector of each text, shape (384,), unit length.

    Vectors that an older state of the cache has are taken from there; only new texts are encoded.

    Parameters
    ----------
    folder
        ``semantic/`` of a database.
    texts
        Repetitions count once.

    Raises
    ------
    MissingExtraError
        The sentence model is not installed.
    """
    wanted = sorted(set(texts))
    path = folder / f"annotations-{_model()}-{_digest(wanted)}.npz"
    known = _read(path)
    if known is not None and known.keys() == set(wanted):
        return known
    older = sorted(folder.glob(f"annotations-{_model()}-*.npz"))
    known = {text: vector for file in older for text, vector in (_read(file) or {}).items()}
    fresh = [text for text in wanted if text not in known]
    known.update(zip(fresh, sentences.encode(fresh), strict=True))
    found = {text: known[text] for text in wanted}
    try:
        _write(path, wanted, found)
    except OSError as error:
        # A database may be read by those who may not write it.
        _log.debug("the vectors of annotations are kept in memory: %s", error)
    return found


def _model() -> str:
    """Changes with the sentence model."""
    try:
        found = version(sentences.MODEL)
    except PackageNotFoundError:
        found = "none"
    return _digest([sentences.MODEL, found])[:8]


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16]


def _read(path: Path) -> dict[str, npt.NDArray[np.float32]] | None:
    """What a file of the cache holds; None where it is not there or not whole."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as data:
            texts = json.loads(data["texts"].tobytes())
            vectors = data["vectors"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if vectors.shape != (len(texts), sentences.DIMENSIONS) or vectors.dtype != np.float32:
        return None
    return dict(zip(texts, vectors, strict=True))


def _write(path: Path, texts: Sequence[str], found: dict[str, npt.NDArray[np.float32]]) -> None:
    path.parent.mkdir(exist_ok=True)
    others = [p for p in path.parent.glob("annotations-*") if p != path]
    # Readers may write at the same time: each has a draft of its own, and the last one stays.
    draft = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.tmp")
    vectors = [found[text] for text in texts]
    table = np.stack(vectors) if vectors else np.empty((0, sentences.DIMENSIONS), np.float32)
    with open(draft, "wb") as file:
        np.savez(file, texts=np.frombuffer(json.dumps(texts).encode(), np.uint8), vectors=table)
    draft.replace(path)
    for other in others:
        other.unlink(missing_ok=True)
