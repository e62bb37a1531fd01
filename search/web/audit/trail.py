"""The file of the audit: rows that are only added, each sealed with the one before it.

A row's seal is an HMAC over the seal of the row before and the row itself, under a key of its own
file. Whoever has the file and not the key can change no row without breaking the chain. Rows that
are cut from the end leave a chain that is whole: heads that were logged elsewhere show it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from indexer.database.sqlite import connect
from indexer.errors import DatabaseError, InconsistentError

__all__ = ["AuditEvent", "AuditRow", "Head", "Trail", "now"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, time TEXT NOT NULL, person TEXT NOT NULL, address TEXT NOT NULL,
    action TEXT NOT NULL, status INTEGER NOT NULL, route TEXT NOT NULL, subject TEXT NOT NULL,
    detail TEXT NOT NULL, seal TEXT NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS no_change BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
CREATE TRIGGER IF NOT EXISTS no_deletion BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
"""
_BEGINNING = "cxrdex audit 1"


def now() -> str:
    """The time in UTC, to the millisecond (RFC 3339)."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """Something that was done or tried.

    Parameters
    ----------
    time
        UTC (RFC 3339).
    person, address
        Who, and from where; empty where that is not known.
    action
        ``search``, ``open``, ``export``, ``change``, ``sign in``, ``sign out``, ``refused``,
        ``start`` or ``stop``.
    status
        HTTP status of the answer; 0 of the server itself.
    route
        The route's pattern.
    subject
        Ids that it was about.
    detail
        What was asked.
    """

    time: str
    person: str
    address: str
    action: str
    status: int = 0
    route: str = ""
    subject: str = ""
    detail: str = ""


_COLUMNS = tuple(field.name for field in fields(AuditEvent))


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An event as it stands in the file."""

    number: int
    event: AuditEvent
    seal: str

    def to_json(self) -> dict[str, Any]:
        """``{"number", "time", …, "detail", "seal"}``."""
        return {"number": self.number, **asdict(self.event), "seal": self.seal}


@dataclass(frozen=True, slots=True)
class Head:
    """The last row: its number and seal; of an empty file 0 and the seal that begins the chain."""

    number: int
    seal: str


class Trail:
    """The rows of one file.

    Parameters
    ----------
    path
        The SQLite file.
    key
        Of `search.web.audit.key.audit_key`; without it rows can only be read.
    write
        Whether rows are added; the file is made where it does not exist.

    Raises
    ------
    DatabaseError
        It does not exist, cannot be written, or is no audit.
    """

    def __init__(self, path: Path, key: bytes = b"", *, write: bool = False) -> None:
        self.path, self._key = path, key
        if not write and not path.exists():
            raise DatabaseError(f"there is no audit {path}; `audit` names one")
        try:
            self._connection = connect(path, write=write)
            if write:
                self._connection.executescript(_SCHEMA)
            self._connection.execute(f"SELECT {', '.join(_COLUMNS)}, seal FROM events LIMIT 1")
        except (sqlite3.Error, OSError) as error:
            raise DatabaseError(f"audit {path}: {error}; `audit` names another") from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Trail:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def head(self) -> Head:
        """The last row."""
        row = self._connection.execute(
            "SELECT number, seal FROM events ORDER BY number DESC LIMIT 1"
        ).fetchone()
        return Head(*row) if row else self._beginning()

    def add(self, events: Sequence[AuditEvent]) -> list[AuditRow]:
        """Add rows; they are on the disk when it returns.

        Raises
        ------
        sqlite3.Error
            The file cannot be written; none of them was added.
        """
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            head, rows = self.head(), []
            for event in events:
                number = head.number + 1
                head = Head(number, self._seal(head.seal, _text(number, event)))
                rows.append(AuditRow(number, event, head.seal))
            self._connection.executemany(
                f"INSERT INTO events VALUES ({', '.join('?' * (len(_COLUMNS) + 2))})",
                [(row.number, *_values(row.event), row.seal) for row in rows],
            )
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return rows

    def rows(
        self,
        *,
        before: int | None = None,
        limit: int | None = None,
        person: str | None = None,
        action: str | None = None,
    ) -> Iterator[AuditRow]:
        """Rows, the newest first.

        Parameters
        ----------
        before
            Only rows of smaller numbers.
        limit
            How many at most.
        person, action
            Only those of one person, one action.
        """
        conditions: list[str] = ["TRUE"]
        values: list[int | str] = []
        for condition, value in (("number <", before), ("person =", person), ("action =", action)):
            if value is not None:
                conditions.append(f"{condition} ?")
                values.append(value)
        return self._rows(f"{' AND '.join(conditions)} ORDER BY number DESC LIMIT ?", values, limit)

    def all(self) -> Iterator[AuditRow]:
        """Every row, the oldest first."""
        return self._rows("TRUE ORDER BY number LIMIT ?", (), None)

    def _rows(
        self, where: str, values: Iterable[int | str], limit: int | None
    ) -> Iterator[AuditRow]:
        sql = f"SELECT number, {', '.join(_COLUMNS)}, seal FROM events WHERE {where}"
        most = -1 if limit is None else limit
        with closing(self._connection.cursor()) as cursor:
            for number, *columns, seal in cursor.execute(sql, (*values, most)):
                yield AuditRow(
                    number, AuditEvent(**dict(zip(_COLUMNS, columns, strict=True))), seal
                )

    def verify(self, head: str | None = None) -> Head:
        """Check every row against the one before it.

        Parameters
        ----------
        head
            A seal that was logged; its row has to be there.

        Returns
        -------
        head
            The last row.

        Raises
        ------
        InconsistentError
            A row was changed, taken out or put in; the text names the first. Or rows were cut.
        """
        last = self._beginning()
        seen = head in (None, last.seal)
        try:
            for row in self.all():
                seal = self._seal(last.seal, _text(row.number, row.event))
                if row.number != last.number + 1 or not hmac.compare_digest(seal, row.seal):
                    raise InconsistentError(
                        f"audit {self.path}: row {last.number + 1} is not the one that was "
                        f"written after row {last.number}, or the key is another one"
                    )
                last = Head(row.number, row.seal)
                seen = seen or row.seal == head
        except (sqlite3.Error, TypeError) as error:
            raise InconsistentError(
                f"audit {self.path}: row {last.number + 1} is damaged: {error}"
            ) from error
        if not seen:
            raise InconsistentError(
                f"audit {self.path}: rows were cut from its end: the last one is row "
                f"{last.number}, and none has the seal {head}"
            )
        return last

    def _beginning(self) -> Head:
        return Head(0, self._seal("", _BEGINNING))

    def _seal(self, before: str, text: str) -> str:
        return hmac.new(self._key, f"{before}\n{text}".encode(), hashlib.sha256).hexdigest()


def _values(event: AuditEvent) -> tuple[str | int, ...]:
    return tuple(getattr(event, name) for name in _COLUMNS)


def _text(number: int, event: AuditEvent) -> str:
    return json.dumps([number, *_values(event)])
