"""Tables written row by row: CSV for spreadsheets, JSON lines, and Parquet."""

from __future__ import annotations

import csv
import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import orjson

from indexer.errors import CxrdexError, MissingExtraError, QueryError
from search.export.cells import csv_cell
from search.export.columns import ExportColumn

__all__ = ["SUFFIXES", "RowWriter", "begun", "open_table"]

SUFFIXES = (".csv", ".jsonl", ".parquet")
_ROWS_PER_GROUP = 4096


class RowWriter(Protocol):
    """A file that takes one row after the other."""

    def write(self, row: Mapping[str, Any]) -> None:
        """Add a row: a value, or None, for each column."""


@contextmanager
def open_table(path: Path, columns: Sequence[ExportColumn], vector: int = 0) -> Iterator[RowWriter]:
    """A new file, complete or not there: it has another name until it is closed.

    Parameters
    ----------
    path
        Its ending says its form, one of `SUFFIXES`.
    columns
        In order.
    vector
        Length of the vectors in one more column ``embedding``, for Parquet; 0 for no such column.

    Raises
    ------
    QueryError
        The ending says no form.
    MissingExtraError
        What writes Parquet is not installed.
    """
    kinds = {".csv": _csv, ".jsonl": _json_lines, ".parquet": _parquet}
    if path.suffix.lower() not in kinds:
        raise QueryError(
            f"{path}: its name must end in {', '.join(SUFFIXES)} or .npy, which says its form"
        )
    if vector and path.suffix.lower() != ".parquet":
        raise QueryError("embeddings are a column of Parquet alone (.parquet)")
    aside = begun(path)
    try:
        with kinds[path.suffix.lower()](aside, columns, vector) as table:
            yield table
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def begun(path: Path) -> Path:
    """An empty file beside `path`, to be renamed once it is written.

    Raises
    ------
    CxrdexError
        None can be made there.
    """
    aside = path.with_name(path.name + ".part")
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        aside.touch()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise CxrdexError(f"{path} cannot be written: {error.strerror}") from error
    return aside


class _Csv:
    def __init__(self, writer: Any, columns: Sequence[ExportColumn]) -> None:
        self._writer = writer
        self._columns = columns

    def write(self, row: Mapping[str, Any]) -> None:
        self._writer.writerow([_cell(row[column.name]) for column in self._columns])


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        value = "; ".join(value)
    return csv_cell(value) if isinstance(value, str) else value


@contextmanager
def _csv(path: Path, columns: Sequence[ExportColumn], _: int) -> Iterator[RowWriter]:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([column.name for column in columns])
        yield _Csv(writer, columns)


class _JsonLines:
    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, row: Mapping[str, Any]) -> None:
        self._file.write(orjson.dumps(dict(row), option=orjson.OPT_APPEND_NEWLINE))


@contextmanager
def _json_lines(path: Path, _: Sequence[ExportColumn], __: int) -> Iterator[RowWriter]:
    with path.open("wb") as file:
        yield _JsonLines(file)


class _Parquet:
    def __init__(self, arrow: Any, writer: Any, schema: Any) -> None:
        self._arrow, self._writer, self._schema = arrow, writer, schema
        self._rows: list[Mapping[str, Any]] = []

    def write(self, row: Mapping[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) == _ROWS_PER_GROUP:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            table = self._arrow.Table.from_pylist(self._rows, schema=self._schema)
            self._writer.write_table(table)
            self._rows = []


@contextmanager
def _parquet(path: Path, columns: Sequence[ExportColumn], vector: int) -> Iterator[RowWriter]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError(
            "Parquet needs the extra: pip install 'cxrdex[parquet]'; .csv and .jsonl do not"
        ) from error
    types = {
        "text": pyarrow.string(),
        "integer": pyarrow.int32(),
        "number": pyarrow.float32(),
        "texts": pyarrow.list_(pyarrow.string()),
    }
    fields = [(column.name, types[column.type]) for column in columns]
    if vector:
        fields.append(("embedding", pyarrow.list_(pyarrow.float32(), vector)))
    schema = pyarrow.schema(fields)
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        table = _Parquet(pyarrow, writer, schema)
        yield table
        table.flush()
