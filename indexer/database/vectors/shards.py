"""Embedding shards, the truth about vectors: ``part-000001.npy`` beside its keys.

A shard is written once and never changed. It counts from the moment the ledger knows it; what lies
in the folder otherwise is a leftover of an interrupted commit.
"""

from __future__ import annotations

import hashlib
import io
import mmap
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from indexer import advice
from indexer.database.access import unreadable
from indexer.database.durable import write_all_durably
from indexer.database.vectors.arrays import load_array
from indexer.errors import DatabaseError, ShardMissing

__all__ = [
    "Shard",
    "Shards",
    "ascending_keys",
    "id_from_key",
    "remove_orphans",
    "shard_checksum",
    "vector_key",
    "vector_keys",
    "write_shard",
]

_NAME = re.compile(r"^part-(\d{6,})(?:\.keys)?\.npy(?:\.tmp)?$")
_CHUNK = 16_384
# After this many rows the pages of a memory map are given back: each row may bring up to 16 pages
# of 4 KiB into the memory of the process.
_RESIDENT_ROWS = 16_384
# Maps smaller than this in total keep their pages: to read them again would take longer than the
# rest of a search.
_RESIDENT_BYTES = _RESIDENT_ROWS * 16 * 4096
# Files smaller than this are compared with their checksums before they are used.
_CHECKED_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Shard:
    """What the ledger knows of a shard.

    Parameters
    ----------
    number
        Part of its file names.
    rows
        Vectors in it.
    live
        How many of them an image points to.
    checksum
        Over both files.
    """

    number: int
    rows: int
    live: int
    checksum: str

    def files(self, folder: Path) -> tuple[Path, Path]:
        """Its vectors and its keys."""
        return _paths(folder, self.number)


def vector_key(image_id: str) -> int:
    """The int64 by which arrays name an image."""
    return int.from_bytes(bytes.fromhex(image_id), "big", signed=True)


def id_from_key(key: int) -> str:
    """The image id that `vector_key` turned into `key`."""
    return int(key).to_bytes(8, "big", signed=True).hex()


def vector_keys(image_ids: Sequence[str]) -> npt.NDArray[np.int64]:
    """Keys of many images, shape (n,)."""
    raw = np.frombuffer(bytes.fromhex("".join(image_ids)), ">i8")
    return raw.astype(np.int64)


def ascending_keys(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Keys without repetition, ascending."""
    keys = np.asarray(keys, np.int64)
    if (keys[1:] > keys[:-1]).all():
        return keys
    keys = np.sort(keys)
    # NumPy's own sets import its masked arrays first, which takes longer than a search.
    once: npt.NDArray[np.int64] = keys[np.append(True, keys[1:] != keys[:-1])]
    return once


def write_shard(
    folder: Path, number: int, vectors: npt.NDArray[np.floating], keys: npt.NDArray[np.int64]
) -> str:
    """Write both files of a shard durably and give their checksum.

    Parameters
    ----------
    vectors
        Shape (n, dimensions).
    keys
        Shape (n,).
    """
    parts = _npy(vectors.astype(np.float16)), _npy(keys)
    write_all_durably(dict(zip(_paths(folder, number), parts, strict=True)))
    return _checksum(parts)


def shard_checksum(folder: Path, number: int) -> str | None:
    """Checksum of the files as they are on disk; None where one is missing.

    Raises
    ------
    DatabaseError
        This user may not read one.
    """
    try:
        return _checksum([path.read_bytes() for path in _paths(folder, number)])
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise DatabaseError(unreadable(Path(error.filename)) or f"{error}") from error


def remove_orphans(folder: Path, known: set[int]) -> int:
    """Delete what no committed shard owns and give the number of files."""
    orphans = list(_orphans(folder, known))
    for path in orphans:
        path.unlink()
    return len(orphans)


def _orphans(folder: Path, known: set[int]) -> Iterator[Path]:
    for path in folder.iterdir():
        match = _NAME.match(path.name)
        if match and (int(match[1]) not in known or path.suffix == ".tmp"):
            yield path


def _paths(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f"part-{number:06d}.npy", folder / f"part-{number:06d}.keys.npy"


def _npy(array: npt.NDArray[np.generic]) -> bytes:
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(array), allow_pickle=False)
    return file.getvalue()


def _checksum(parts: Sequence[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


class Shards:
    """The vectors of one moment of a database, memory-mapped.

    Positions number the rows of all its shards, in order of the shards.

    Parameters
    ----------
    folder
        Where the files are.
    shards
        The committed ones.
    live_rows
        Gives, ascending, the live rows of a shard that also has dead ones; None where none has.
    dimensions
        Length of the vectors.
    """

    def __init__(
        self,
        folder: Path,
        shards: Sequence[Shard],
        live_rows: Callable[[int], npt.NDArray[np.int64]] | None,
        dimensions: int,
    ) -> None:
        self._folder = folder
        self._live_rows = live_rows
        self.shards = tuple(shards)
        self.dimensions = dimensions
        #: First position of each shard, and the end.
        self.starts = np.cumsum([0, *(shard.rows for shard in shards)], dtype=np.int64)
        # Threads that share this wait for the one that fills these two.
        self._lock = threading.RLock()
        self._positions: npt.NDArray[np.int64] | None = None
        self._keys: npt.NDArray[np.int64] | None = None
        self._maps: dict[int, npt.NDArray[np.float16]] = {}
        self._files: list[mmap.mmap] = []
        self._touched = 0
        size = sum(shard.rows for shard in shards) * (2 * dimensions + 8)
        self._large = size > _RESIDENT_BYTES
        #: Shards still to be compared with their checksums; large ones are left to `verify`.
        self._unchecked = set(range(len(shards)) if size <= _CHECKED_BYTES else ())

    def __len__(self) -> int:
        return sum(shard.live for shard in self.shards)

    def live(self, index: int) -> npt.NDArray[np.int64]:
        """Live rows of the shard at `index`, ascending."""
        shard = self.shards[index]
        if shard.live == shard.rows:
            return np.arange(shard.rows, dtype=np.int64)
        assert self._live_rows is not None
        return self._live_rows(shard.number)

    def keys_in(self, index: int) -> npt.NDArray[np.int64]:
        """Keys of all rows of the shard at `index`, dead ones too."""
        self._check(index)
        shard = self.shards[index]
        keys = self._load(_paths(self._folder, shard.number)[1], (shard.rows,))
        return keys.astype(np.int64, copy=False)

    @property
    def positions(self) -> npt.NDArray[np.int64]:
        """Positions of all live rows, ascending."""
        with self._lock:
            if self._positions is None:
                parts = [self.starts[index] + self.live(index) for index in range(len(self.shards))]
                self._positions = np.concatenate([np.empty(0, np.int64), *parts])
            return self._positions

    @property
    def keys(self) -> npt.NDArray[np.int64]:
        """Keys of the rows at `positions`."""
        with self._lock:
            if self._keys is None:
                parts = [self.keys_in(index) for index in range(len(self.shards))]
                self._keys = np.concatenate([np.empty(0, np.int64), *parts])[self.positions]
            return self._keys

    def rows(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Vectors at `positions`, shape (n, dimensions)."""
        vectors = np.empty((len(positions), self.dimensions), np.float32)
        order = np.argsort(positions, kind="stable")
        ordered = positions[order]
        indices = np.searchsorted(self.starts, ordered, side="right") - 1
        bounds = np.flatnonzero(np.diff(indices, prepend=-1, append=-1))
        for start, end in pairwise(bounds.tolist()):
            index = int(indices[start])
            places = ordered[start:end] - self.starts[index]
            vectors[order[start:end]] = self._map(index)[places]
            self._touch(end - start)
        return vectors

    def chunks(
        self, positions: npt.NDArray[np.int64]
    ) -> Iterator[tuple[slice, npt.NDArray[np.float32]]]:
        """Parts of `positions`, some thousand at a time, and their vectors."""
        for start in range(0, len(positions), _CHUNK):
            part = slice(start, start + _CHUNK)
            yield part, self.rows(positions[part])

    def live_chunks(self) -> Iterator[npt.NDArray[np.float32]]:
        """The vectors at `positions`, some thousand at a time; none of them stays in memory."""
        for index, shard in enumerate(self.shards):
            self._check(index)
            # Read, as the pages of a mapped file would count as the process's own.
            path = _paths(self._folder, shard.number)[0]
            rows = self._load(path, (shard.rows, self.dimensions), mapped=False)
            live = self.live(index)
            for start in range(0, len(live), _CHUNK):
                yield rows[live[start : start + _CHUNK]].astype(np.float32)

    def hold(self) -> None:
        """Map all shards that can be read, so that they stay even where a writer drops them.

        Raises
        ------
        ShardMissing
            A file is lost, or this moment of the database is over.
        """
        for index in range(len(self.shards)):
            try:
                self._map(index)
            except ShardMissing:
                raise
            except DatabaseError:
                # A damaged file raises an error when it is needed.
                continue

    def mapped(self, index: int) -> npt.NDArray[np.float16]:
        """All rows of the shard at `index`, dead ones too; they stay in the file."""
        return self._map(index)

    def _map(self, index: int) -> npt.NDArray[np.float16]:
        if index not in self._maps:
            self._check(index)
            shard = self.shards[index]
            path = _paths(self._folder, shard.number)[0]
            rows = self._load(path, (shard.rows, self.dimensions))
            owner: object = rows
            while isinstance(owner, np.ndarray):
                owner = owner.base
            if isinstance(owner, mmap.mmap):
                self._files.append(owner)
            self._maps[index] = rows.astype(np.float16, copy=False)
        return self._maps[index]

    def _check(self, index: int) -> None:
        """Compare a shard with its checksum, once."""
        if index in self._unchecked:
            shard = self.shards[index]
            found = shard_checksum(self._folder, shard.number)
            # A missing file raises an error when it is loaded.
            if found is not None and found != shard.checksum:
                raise DatabaseError(
                    f"the shard {_paths(self._folder, shard.number)[0]} is damaged: {advice.REREAD}"
                )
            self._unchecked.discard(index)

    def _touch(self, rows: int) -> None:
        """Let the maps' pages go now and then; they stay in the system's cache of files."""
        self._touched += rows
        if self._large and self._touched > _RESIDENT_ROWS and hasattr(mmap, "MADV_DONTNEED"):
            self._touched = 0
            for file in self._files:
                file.madvise(mmap.MADV_DONTNEED)

    def _load(
        self, path: Path, shape: tuple[int, ...], *, mapped: bool = True
    ) -> npt.NDArray[np.generic]:
        try:
            return load_array(
                path, shape, "i" if path.suffixes[0] == ".keys" else "f", mapped=mapped
            )
        except (OSError, ValueError) as error:
            kind = ShardMissing if isinstance(error, FileNotFoundError) else DatabaseError
            raise kind(
                unreadable(path) or f"the shard {path} is missing or damaged: {advice.REREAD}"
            ) from error
