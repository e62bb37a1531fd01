"""What the tables of the ledger share: one connection, and a lock around each use of it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from indexer import advice
from indexer.errors import DatabaseError

__all__ = ["PAGE", "LedgerTable", "corruption"]

#: Rows that are fetched at once.
PAGE = 1000
# One statement gets at most this many values, as SQLite limits their number.
_PARAMETERS = 500

_Row: TypeAlias = tuple[Any, ...]


@contextmanager
def corruption() -> Iterator[None]:
    """Say of a file that SQLite finds damaged what to do.

    Raises
    ------
    DatabaseError
        It is damaged.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        # The lowest byte of an extended error code is the primary code.
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if code not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise
        raise DatabaseError(
            f"an SQLite file of the database is damaged ({error}): {advice.VERIFY}"
        ) from error


class LedgerTable:
    """Some tables of an open ledger.

    What changes them belongs inside `Ledger.transaction`.
    """

    def __init__(self, connection: sqlite3.Connection, lock: threading.RLock) -> None:
        self._connection = connection
        self._lock = lock

    def _all(self, statement: str, *values: object) -> list[_Row]:
        with self._lock, corruption():
            return self._connection.execute(statement, values).fetchall()

    def _one(self, statement: str, *values: object) -> _Row | None:
        with self._lock, corruption():
            row: _Row | None = self._connection.execute(statement, values).fetchone()
        return row

    def _value(self, statement: str, *values: object) -> Any:
        row = self._one(statement, *values)
        return row[0] if row else None

    def _change(self, statement: str, *values: object) -> int:
        """Rows that a statement changed."""
        with self._lock:
            return self._connection.execute(statement, values).rowcount

    def _change_each(self, statement: str, rows: Iterable[Sequence[object]]) -> int:
        with self._lock:
            return max(self._connection.executemany(statement, rows).rowcount, 0)

    def _paged(self, statement: str, *values: object) -> Iterator[_Row]:
        """Rows of a statement that takes the last row's number first and the page's length last."""
        last = 0
        while page := self._all(statement, last, *values, PAGE):
            last = page[-1][0]
            yield from page

    def _select_each(self, names: Sequence[str], statement: str) -> Iterator[_Row]:
        """Rows of a statement with ``{}`` where marks for some of the names belong."""
        for start in range(0, len(names), _PARAMETERS):
            part = names[start : start + _PARAMETERS]
            yield from self._all(statement.format(",".join("?" * len(part))), *part)
