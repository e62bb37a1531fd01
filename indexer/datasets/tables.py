"""Rows of CSV tables, joined where a data set has several; whatever is malformed is named."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from indexer.datasets.description import Description, SourceTable
from indexer.errors import TrainingError

__all__ = ["SourceRow", "header", "joined_rows", "read_rows", "table_files"]

#: File, line, and cells by column.
SourceRow = tuple[Path, int, dict[str, str]]


def table_files(root: Path, table: SourceTable) -> list[Path]:
    """The files of a table in a data set's folder; ``.csv`` stands for ``.csv.gz`` too."""
    return sorted(root.glob(table.file)) or sorted(root.glob(f"{table.file}.gz"))


def header(path: Path, delimiter: str = ",") -> list[str]:
    """The column names of a table.

    Raises
    ------
    TrainingError
        It cannot be read as CSV in UTF-8.
    """
    with _opened(path) as file, _refusing(path):
        return [name.strip() for name in next(csv.reader(file, delimiter=delimiter), [])]


def read_rows(path: Path, delimiter: str = ",") -> Iterator[SourceRow]:
    """All rows of a table; cells that are missing at a row's end are empty.

    Raises
    ------
    TrainingError
        It cannot be read as CSV in UTF-8, a column comes twice, or a row has more cells than there
        are columns; the text names file, line and column.
    """
    with _opened(path) as file, _refusing(path):
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            names = [name.strip() for name in next(reader, [])]
            for name in names:
                if name and names.count(name) > 1:
                    raise TrainingError(f"{path}, line 1, column {name}: there are two of it")
            for cells in reader:
                if not cells:
                    continue
                if len(cells) > len(names):
                    raise TrainingError(
                        f"{path}, line {reader.line_num}, column {len(names) + 1}: more values "
                        "than columns; put a value that holds a comma in quotes"
                    )
                values = (cell.strip() for cell in cells)
                yield path, reader.line_num, dict(zip(names, values, strict=False))
        except csv.Error as error:
            raise TrainingError(f"{path}, line {reader.line_num}: {error}") from error


def joined_rows(root: Path, description: Description) -> Iterator[tuple[SourceRow, str | None]]:
    """The rows of a data set's tables of images, with the part that the table tells.

    Cells of joined tables are added to them.

    Raises
    ------
    TrainingError
        A table or a column is missing, or as of `read_rows`.
    """
    joins = [(table.on, _by_key(root, table, description.needed)) for table in description.joins]
    there = {name for _, (names, _) in joins for name in names}
    for table in description.tables:
        for path in _files(root, table):
            names = there.union(header(path, table.delimiter))
            missing = sorted(description.needed - names)
            if missing:
                raise TrainingError(
                    f"{path} lacks the column {missing[0]}, which {description.path.name} names"
                )
            for file, line, row in read_rows(path, table.delimiter):
                for on, (_, rows) in joins:
                    row |= rows.get(tuple(row.get(name, "") for name in on), {})
                yield (file, line, row), table.part


def _files(root: Path, table: SourceTable) -> list[Path]:
    found = table_files(root, table)
    if not found:
        raise TrainingError(f"{root / table.file} is missing: it is a table of the data set")
    return found


def _by_key(
    root: Path, table: SourceTable, wanted: frozenset[str]
) -> tuple[set[str], Mapping[tuple[str, ...], dict[str, str]]]:
    """Column names, and by what it is joined on, the cells of a table that are wanted."""
    names: set[str] = set()
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for path in _files(root, table):
        names |= set(header(path, table.delimiter))
        for _, _, row in read_rows(path, table.delimiter):
            kept = {n: v for n, v in row.items() if n in wanted and n not in table.on}
            rows.setdefault(tuple(row.get(name, "") for name in table.on), kept)
    _check_keys(root, table, names)
    return names, rows


def _check_keys(root: Path, table: SourceTable, names: Sequence[str] | set[str]) -> None:
    for name in table.on:
        if name not in names:
            raise TrainingError(f"{root / table.file} lacks the column {name}, to be joined by")


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    except FileNotFoundError as error:
        raise TrainingError(f"{path} is missing") from error


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise TrainingError(f"{path} cannot be read as CSV in UTF-8: {error}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise TrainingError(f"{path} cannot be read: {error}") from error
