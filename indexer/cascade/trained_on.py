"""Which images a bundle was trained on, told by the names of their files."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

import numpy as np

from indexer.archive.sources.names import stem

__all__ = ["TrainedOn", "compressed"]

_BYTES = 4


class TrainedOn:
    """Names of files, as hashes of 32 bits: of a million others, one is taken for one of 5,000.

    Parameters
    ----------
    text
        What `compressed` gave.
    """

    def __init__(self, text: str) -> None:
        self._hashes = frozenset(np.frombuffer(base64.b64decode(text), "<u4").tolist())

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _hash(name) in self._hashes


def compressed(names: Iterable[str]) -> str:
    """Names of files, with or without folders and suffix, for a bundle's record."""
    hashes = np.unique(np.array([_hash(name) for name in names], "<u4"))
    return base64.b64encode(hashes.tobytes()).decode()


def _hash(name: str) -> int:
    digest = hashlib.sha256(b"trained on:" + stem(name).encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:_BYTES], "little")
