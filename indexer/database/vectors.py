"""FAISS over the embedding shards: built as numbered generations, searched with exact scores.

A generation is a cache: it may be deleted at any time, and may lag behind. What it does not hold
yet is compared exactly; what has gone since is masked.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.database.durable import sync_folder, write_durably
from indexer.database.embeddings import Shards
from indexer.errors import NotFoundError

__all__ = [
    "FLAT_LIMIT",
    "Generation",
    "Vectors",
    "build_vectors",
    "current_generation",
    "needs_build",
]

_log = logging.getLogger(__name__)

FLAT_LIMIT = 65_536
# An inverted file of this share behind the shards is still searched quickly enough.
_LAG = 0.05
_EXACT_LIMIT = 20_000
_ROWS_PER_LIST = 40
_SEED = 20260101
_NAME = re.compile(r"^generation-(\d{6,})$")
_RERANK = 4


@dataclass(frozen=True, slots=True)
class Generation:
    """What a generation says of itself.

    Parameters
    ----------
    changes
        `Ledger.changes` when it was built.
    count
        Vectors in it.
    kind
        ``"flat"``, or ``"ivf<lists>,sq8"``.
    nprobe
        Lists to look into per query; 0 for flat.
    """

    changes: int
    count: int
    kind: str
    nprobe: int


def _generations(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = [(int(m[1]), p) for p in folder.iterdir() if (m := _NAME.match(p.name))]
    return [path for _, path in sorted(found, reverse=True)]


def _describe(path: Path) -> Generation:
    return Generation(**json.loads((path / "generation.json").read_bytes()))


def current_generation(folder: Path) -> Generation | None:
    """The newest generation, or None where there is none that can be read."""
    for path in _generations(folder):
        try:
            return _describe(path)
        except (OSError, ValueError, TypeError):
            _log.warning("a damaged vector index is ignored")
    return None


def needs_build(folder: Path, changes: int, count: int) -> bool:
    """Whether `build_vectors` is worth its time for `count` images at `changes`."""
    now = current_generation(folder)
    if now is None:
        return count > 0
    if now.changes == changes:
        return False
    # Each change touched one image, so this is at least the number of those that differ.
    return count <= FLAT_LIMIT or now.kind == "flat" or changes - now.changes > _LAG * count


def build_vectors(
    folder: Path, shards: Shards, changes: int, *, flat_limit: int = FLAT_LIMIT
) -> Generation:
    """Build the next generation from the live rows of the shards and drop the older ones.

    Flat up to `flat_limit` vectors; above it inverted lists of 8-bit vectors, whose answers
    `Vectors` ranks again by the shards' own.

    Parameters
    ----------
    folder
        ``vectors/`` of a database.
    shards
        What to index.
    changes
        `Ledger.changes` of the same moment.
    """
    import faiss

    folder.mkdir(exist_ok=True)
    older = _generations(folder)
    number = int(older[0].name.rpartition("-")[2]) + 1 if older else 1
    positions = shards.positions
    count, dimensions = len(positions), shards.dimensions
    if count <= flat_limit:
        generation = Generation(changes, count, "flat", 0)
        # Half precision loses nothing: the shards have no more.
        half = faiss.ScalarQuantizer.QT_fp16
        index: faiss.Index = faiss.IndexScalarQuantizer(
            dimensions, half, faiss.METRIC_INNER_PRODUCT
        )
    else:
        lists = int(4 * count**0.5)
        generation = Generation(changes, count, f"ivf{lists},sq8", max(16, lists // 32))
        index = faiss.index_factory(dimensions, f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
        sample = min(count, _ROWS_PER_LIST * lists)
        chosen = np.random.default_rng(_SEED).choice(count, sample, replace=False)
        index.train(shards.rows(positions[np.sort(chosen)]))
    for _, vectors in shards.chunks():
        index.add(vectors)
    draft = folder / f"generation-{number:06d}.tmp"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    faiss.write_index(index, str(draft / "index.faiss"))
    np.save(draft / "keys.npy", shards.keys, allow_pickle=False)
    write_durably(draft / "generation.json", json.dumps(asdict(generation)).encode())
    draft.rename(folder / f"generation-{number:06d}")
    sync_folder(folder)
    for path in (*older, *folder.glob("generation-*.tmp")):
        shutil.rmtree(path, ignore_errors=True)
    return generation


class Vectors:
    """All vectors of one moment of a database, to be searched by inner product.

    Threads may share it: nothing in it changes with a search.

    Parameters
    ----------
    folder
        ``vectors/`` of a database.
    shards
        The truth at that moment.
    changes
        `Ledger.changes` at that moment.
    """

    def __init__(self, folder: Path, shards: Shards, changes: int) -> None:
        self._shards = shards
        self._generation: Generation | None = None
        self._index: Any = None
        self._indexed = np.empty(0, np.int64)
        for path in _generations(folder):
            if self._open(path):
                break
        current = self._generation is not None and self._generation.changes == changes
        #: Of the generation's entries, those whose image is gone; None if there are none.
        self._dead: npt.NDArray[np.bool_] | None = None
        #: Positions of live rows the generation does not hold.
        self._fresh = np.empty(0, np.int64)
        if not current:
            self.compare()

    def _open(self, path: Path) -> bool:
        import faiss

        try:
            generation = _describe(path)
            keys = np.load(path / "keys.npy", allow_pickle=False)
            flags = 0 if generation.kind == "flat" else faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY
            index = faiss.read_index(str(path / "index.faiss"), flags)
        except (OSError, ValueError, TypeError, RuntimeError):
            # A newer generation may have replaced it meanwhile; without any, search is exact.
            _log.warning("a vector index cannot be read and is ignored")
            return False
        if (index.ntotal, index.d) != (len(keys), self._shards.dimensions):
            _log.warning("a vector index does not fit its keys and is ignored")
            return False
        self._generation, self._index, self._indexed = generation, index, keys
        return True

    def compare(self) -> int:
        """Find out by how many images generation and shards differ, whatever it says of itself."""
        dead = ~np.isin(self._indexed, self._shards.keys)
        self._dead = dead if dead.any() else None
        fresh = ~np.isin(self._shards.keys, self._indexed)
        self._fresh = self._shards.positions[fresh]
        return self.lag

    def __len__(self) -> int:
        return len(self._shards.positions)

    @property
    def generation(self) -> Generation | None:
        """The FAISS generation in use."""
        return self._generation

    @property
    def lag(self) -> int:
        """Images the generation lacks, and entries in it whose image is gone."""
        return len(self._fresh) + (0 if self._dead is None else int(self._dead.sum()))

    @property
    def keys(self) -> npt.NDArray[np.int64]:
        """Keys of all images, shape (n,)."""
        return self._shards.keys

    def vectors_of(self, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Vectors of images by key, shape (n, dimensions).

        Raises
        ------
        NotFoundError
            One of `keys` belongs to no image.
        """
        positions = self._shards.locate(np.asarray(keys, np.int64))
        if (positions < 0).any():
            raise NotFoundError("no vector for one of the images: run `cxrdex verify`")
        return self._shards.rows(positions)

    def search(
        self,
        query: npt.NDArray[np.floating],
        k: int,
        *,
        keys: npt.NDArray[np.int64] | None = None,
        excluded: npt.NDArray[np.int64] | None = None,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """The `k` most similar images, best first; fewer where there are not as many.

        Parameters
        ----------
        query
            Shape (dimensions,); its length changes neither order nor scores.
        k
            At least 1.
        keys
            The only images that may be found; None for all. A narrow choice is searched exactly.
        excluded
            Images that must not be found.

        Returns
        -------
        scores, keys
            Inner products with the query at unit length, and keys, shape (m,) each, m <= k;
            images of equal score by ascending key.
        """
        vector = np.asarray(query, np.float32).reshape(1, -1)
        vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
        if k < 1 or not len(self):
            return np.empty(0, np.float32), np.empty(0, np.int64)
        barred = np.empty(0, np.int64) if excluded is None else np.asarray(excluded, np.int64)
        if keys is not None:
            keys = np.setdiff1d(np.asarray(keys, np.int64), barred)
            if len(keys) <= max(_EXACT_LIMIT, len(self) // 50):
                positions = self._shards.locate(keys)
                return self._exact(vector[0], positions[positions >= 0], k)
        fresh = self._fresh
        if len(fresh):
            own = self._shards.key_at(fresh)
            allowed = ~np.isin(own, barred) if keys is None else np.isin(own, keys)
            fresh = fresh[allowed]
        found = self._approximate(vector, k, keys, barred)
        parts = [part for part in (found, self._exact(vector[0], fresh, k)) if len(part[0])]
        if not parts:
            return np.empty(0, np.float32), np.empty(0, np.int64)
        scores, names = (np.concatenate(column) for column in zip(*parts, strict=True))
        return _best(scores, names, k)

    def _approximate(
        self,
        vector: npt.NDArray[np.float32],
        k: int,
        keys: npt.NDArray[np.int64] | None,
        barred: npt.NDArray[np.int64],
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        import faiss

        nothing = np.empty(0, np.float32), np.empty(0, np.int64)
        if self._generation is None or not len(self._indexed):
            return nothing
        mask = self._mask(keys, barred)
        selector = bitmap = None
        if mask is not None:
            bitmap = np.packbits(mask, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(bitmap), faiss.swig_ptr(bitmap))
        flat = self._generation.kind == "flat"
        available = len(self._indexed) if mask is None else int(mask.sum())
        wanted = min(k if flat else max(_RERANK * k, 100), available)
        if not wanted:
            return nothing
        nprobe = self._generation.nprobe
        while True:
            parameters = self._parameters(selector, nprobe)
            scores, entries = self._index.search(vector, wanted, params=parameters)
            hits = entries[0] >= 0
            # A filter, or a large k, may empty the lists that were looked into.
            if flat or hits.sum() >= wanted or nprobe >= self._index.nlist:
                break
            nprobe *= 4
        names = self._indexed[entries[0][hits]]
        if flat:
            return scores[0][hits], names
        positions = self._shards.locate(names)
        return self._exact(vector[0], positions[positions >= 0], k)

    @staticmethod
    def _parameters(selector: Any, nprobe: int) -> Any:
        """What one search asks for; nothing is ever set on the index that others share."""
        import faiss

        if not nprobe:
            return faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        return faiss.SearchParametersIVF(sel=selector, nprobe=nprobe)  # type: ignore[call-arg]

    def _mask(
        self, keys: npt.NDArray[np.int64] | None, barred: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_] | None:
        """Which entries of the generation may be found; None for all."""
        if keys is None and not len(barred) and self._dead is None:
            return None
        mask = np.ones(len(self._indexed), np.bool_) if self._dead is None else ~self._dead
        if keys is None:
            mask[self._entries(barred)] = False
            return mask
        chosen = np.zeros(len(self._indexed), np.bool_)
        chosen[self._entries(keys)] = True
        return mask & chosen

    @cached_property
    def _order(self) -> npt.NDArray[np.intp]:
        return np.argsort(self._indexed, kind="stable")

    def _entries(self, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        """The generation's entries of those of `keys` that it holds."""
        places = np.searchsorted(self._indexed, keys, sorter=self._order)
        entries = self._order[np.minimum(places, len(self._indexed) - 1)]
        held: npt.NDArray[np.intp] = entries[self._indexed[entries] == keys]
        return held

    def _exact(
        self, vector: npt.NDArray[np.float32], positions: npt.NDArray[np.int64], k: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        scores, best = np.empty(0, np.float32), np.empty(0, np.int64)
        for part, rows in self._shards.chunks(positions):
            scores, best = _best(
                np.concatenate([scores, rows @ vector]),
                np.concatenate([best, self._shards.key_at(part)]),
                k,
            )
        return scores, best

    def disagreements(self, sample: int = 500) -> Iterator[str]:
        """What is wrong with the generation, in words; nothing where it is fine or lags behind."""
        if self._generation is None:
            return
        if len(np.unique(self._indexed)) != len(self._indexed):
            yield "an image is indexed twice"
        chosen = np.random.default_rng(_SEED).permutation(len(self._indexed))[:sample]
        names = self._indexed[chosen]
        positions = self._shards.locate(names)
        names, positions = names[positions >= 0], positions[positions >= 0]
        if not len(names):
            return
        rows = self._shards.rows(positions)
        scores, entries = self._index.search(
            rows, 1, params=self._parameters(None, self._generation.nprobe)
        )
        # What is found must be as near as the index says, and no farther than the image itself.
        nearest = self._shards.rows(self._shards.locate(self._indexed[entries[:, 0]]))
        slack = 0.02 * (rows**2).sum(1)
        right = np.abs(scores[:, 0] - (rows * nearest).sum(1)) < slack
        right &= scores[:, 0] > (rows**2).sum(1) - slack
        wrong = int((~right).sum())
        if wrong:
            yield f"{wrong} of {len(names)} sampled vectors differ from their shards"


def _best(
    scores: npt.NDArray[np.float32], keys: npt.NDArray[np.int64], k: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    order = np.lexsort((keys, -scores))[:k]
    return scores[order], keys[order]
