"""The embeddings of a database, as an array that stays on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Embeddings"]


class Embeddings:
    """The embedding of each image of a database at one moment, memory-mapped.

    Rows are in the order in which the images were committed. The larger the inner product of two
    rows, the more the images have in common; `Database.similar` makes of it the chance that both
    show a finding of one name. `numpy.asarray` copies all rows to one float32 array; `blocks` goes
    through them without a copy.

    >>> embeddings = db.embeddings()
    >>> embeddings.shape, embeddings.ids[0] in db
    ((94, 256), True)

    The likeness of all images to the first one:

    >>> likeness = np.asarray(embeddings) @ embeddings[0] / (embeddings[0] @ embeddings[0])
    >>> print(f"{likeness[0]:.3f}", likeness.shape)
    1.000 (94,)

    Parameters
    ----------
    database
        The database's folder.

    Raises
    ------
    DatabaseError
        There is none, or a file of it is missing or damaged.
    """

    def __init__(self, database: Path) -> None:
        from indexer.database.reader import DatabaseReader

        with DatabaseReader.open(database) as opened:
            self._shards = opened.ledger.shards.open(
                opened.layout.embeddings, opened.manifest.dimensions
            )
            # While the ledger is open: it tells which rows are live. From then on a writer may drop
            # files, as these stay mapped.
            self._positions, self._keys = self._shards.positions, self._shards.keys
            self._shards.hold()

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def shape(self) -> tuple[int, int]:
        """Images, and numbers of each."""
        return len(self), self._shards.dimensions

    @cached_property
    def ids(self) -> npt.NDArray[np.str_]:
        """The image id of each row, shape (n,)."""
        return _ids(self._keys)

    def __getitem__(self, rows: Any) -> npt.NDArray[np.float32]:
        """Embeddings of some rows, or of some image ids, as float32.

        Parameters
        ----------
        rows
            A row number or an id, for shape (dimensions,); a slice, an array or a list of them,
            for shape (n, dimensions).

        Raises
        ------
        NotFoundError
            No image has such an id.
        IndexError
            There is no such row.
        """
        single = isinstance(rows, str | int | np.integer)
        if single:
            rows = [rows]
        if not isinstance(rows, slice):
            rows = np.asarray(rows)
            if rows.dtype.kind == "U":
                rows = self._find_rows(rows.tolist())
            elif not rows.size:
                rows = rows.astype(np.int64)
        found = self._shards.rows(self._positions[rows])
        return found[0] if single else found

    def blocks(self) -> Iterator[tuple[npt.NDArray[np.str_], npt.NDArray[np.float16]]]:
        """Ids and embeddings, some thousand images at a time, in the order of the rows.

        An array has shape (m, dimensions) and is a part of the file itself, as long as none of its
        images was dropped.

        >>> sum(len(vectors) for ids, vectors in db.embeddings().blocks())
        94
        """
        starts = self._shards.starts
        bounds = np.searchsorted(self._positions, starts)
        for number, (begin, end) in enumerate(pairwise(bounds.tolist())):
            vectors = self._shards.mapped(number)
            if end - begin < len(vectors):
                vectors = vectors[self._positions[begin:end] - starts[number]]
            yield _ids(self._keys[begin:end]), vectors

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("the embeddings lie in several files: one array of them is a copy")
        return self._shards.rows(self._positions).astype(dtype or np.float32, copy=False)

    def __repr__(self) -> str:
        return f"<cxrdex.Embeddings: {len(self)} x {self._shards.dimensions}>"

    def _find_rows(self, image_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        from indexer.database.vectors.shards import vector_keys
        from indexer.errors import NotFoundError

        try:
            wanted = vector_keys(image_ids)
        except ValueError:
            wanted = np.empty(0, np.int64)
        if len(wanted) != len(image_ids):
            raise NotFoundError("an image id has 16 hexadecimal digits")
        places = np.searchsorted(self._keys, wanted, sorter=self._order)
        rows = self._order[np.minimum(places, len(self) - 1)] if len(self) else np.empty(0, int)
        for image_id, key, found in zip_longest(image_ids, wanted, self._keys[rows]):
            if key != found:
                raise NotFoundError(f"no image has the id {image_id}")
        return rows

    @cached_property
    def _order(self) -> npt.NDArray[np.intp]:
        return np.argsort(self._keys, kind="stable")


def _ids(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.str_]:
    """What `indexer.database.vectors.shards.id_from_key` gives for each key."""
    digits = np.frombuffer(keys.astype(">i8").tobytes().hex().encode(), "S16")
    return digits.astype("U16")
