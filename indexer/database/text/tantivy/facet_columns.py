"""Facet columns: the values of a field as bits of a few fast columns, so that counting is quick.

A column holds one number for each image, the bits of up to `BITS` values. An image has few values
of many, so a store counts the distinct numbers of a column in one sweep, and bits are told apart
after.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np

__all__ = ["BITS", "COLUMNS", "BitColumn", "FacetColumns", "counted"]

BITS = 10
#: Names of the columns. Values that find no place in them are counted without columns.
COLUMNS = tuple(f"facet_{number:02d}" for number in range(96))

_FILE = "facets.json"

#: A column of a field, with the value that each of its bits stands for.
BitColumn: TypeAlias = tuple[str, tuple[str, ...]]


@dataclass(slots=True)
class FacetColumns:
    """Which bit of which column stands for which value; a place once given is never changed.

    Parameters
    ----------
    columns
        Of each column in use its field and its values, from bit 0.
    partial
        Fields with a value that found no place any more.
    """

    columns: list[tuple[str, list[str]]] = field(default_factory=list)
    partial: set[str] = field(default_factory=set)
    _places: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    _changed: bool = False
    #: Values of the documents of a rewrite that is under way.
    _used: set[tuple[str, str]] | None = None

    @classmethod
    def load(cls, folder: Path) -> FacetColumns:
        """As an index has them.

        Raises
        ------
        OSError, ValueError
            The file is missing or damaged.
        """
        data = json.loads((folder / _FILE).read_text())
        try:
            made = cls([(str(name), [*map(str, v)]) for name, v in data["columns"]])
            made.partial = set(data["partial"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"{_FILE} holds no columns") from error
        for number, (name, values) in enumerate(made.columns):
            made._places |= {(name, value): (number, bit) for bit, value in enumerate(values)}
        return made

    def save(self, folder: Path, *, always: bool = False) -> None:
        """Keep what is new, durably; before the documents that have it are."""
        if not (self._changed or always):
            return
        draft = folder / f"{_FILE}.tmp"
        with draft.open("w") as file:
            json.dump({"columns": self.columns, "partial": sorted(self.partial)}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(folder / _FILE)
        self._changed = False

    def numbers(self, values: Mapping[str, Iterable[str]]) -> dict[str, int]:
        """A document's number in every column there may be; new values get a place.

        A column that only some documents had would be read far slower.

        Parameters
        ----------
        values
            By field.
        """
        found: dict[int, int] = {}
        for name, some in values.items():
            for value in some:
                if self._used is not None:
                    self._used.add((name, value))
                place = self._places.get((name, value)) or self._place(name, value)
                if place is not None:
                    found[place[0]] = found.get(place[0], 0) | 1 << place[1]
        return {column: found.get(n, 0) for n, column in enumerate(COLUMNS)}

    def begin_rewrite(self) -> None:
        """All documents are going to be written again."""
        self._used = set()

    def end_rewrite(self) -> None:
        """They are: values that none of them has leave their place empty."""
        used, self._used = self._used or set(), None
        for name, values in self.columns:
            for bit, value in enumerate(values):
                if value and (name, value) not in used:
                    values[bit] = ""
                    self._places.pop((name, value), None)
                    self._changed = True

    def of(self, name: str) -> list[BitColumn] | None:
        """The columns of a field; None where they do not hold all of its values."""
        if name in self.partial:
            return None
        return [
            (COLUMNS[n], tuple(v)) for n, (owner, v) in enumerate(self.columns) if owner == name
        ]

    def _place(self, name: str, value: str) -> tuple[int, int] | None:
        self._changed = True
        mine = [n for n, (owner, v) in enumerate(self.columns) if owner == name and len(v) < BITS]
        if not mine and len(self.columns) == len(COLUMNS):
            self.partial.add(name)
            return None
        if not mine:
            mine = [len(self.columns)]
            self.columns.append((name, []))
        values = self.columns[mine[0]][1]
        values.append(value)
        self._places[name, value] = place = (mine[0], len(values) - 1)
        return place


def counted(column: BitColumn, numbers: Iterable[tuple[int, int]]) -> dict[str, int]:
    """Images by value, from the images of each number of a column; values of none are left out."""
    bits, counts = np.array([*numbers], dtype=np.int64).reshape(-1, 2).T
    totals = (bits >> np.arange(BITS)[:, None] & 1) @ counts
    return {value: int(n) for value, n in zip(column[1], totals, strict=False) if n}
