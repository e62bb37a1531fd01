"""The runs of the indexer, and what they last saw of report folders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from indexer.database.ledger.table import LedgerTable
from indexer.database.text.documents import canonical

__all__ = ["Run", "Runs"]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the indexer; times are ISO 8601 in UTC."""

    id: int
    started: str
    finished: str | None
    state: Literal["running", "complete", "interrupted", "stopped"]
    version: str
    bundle: str
    counts: dict[str, int]


class Runs(LedgerTable):
    """The tables `runs` and `report_folders`."""

    def last(self) -> Run | None:
        """The newest run."""
        row = self._one("SELECT * FROM runs ORDER BY id DESC LIMIT 1")
        return _parsed(row) if row else None

    def recent(self, count: int) -> list[Run]:
        """The last runs, the newest first."""
        return [
            _parsed(row) for row in self._all("SELECT * FROM runs ORDER BY id DESC LIMIT ?", count)
        ]

    def get(self, number: int) -> Run:
        """One run by its number."""
        row = self._one("SELECT * FROM runs WHERE id = ?", number)
        assert row is not None
        return _parsed(row)

    def begin(self, version: str, bundle: str) -> int:
        """Enter a run that begins and give its number."""
        self._change(
            "INSERT INTO runs (started, state, version, bundle) VALUES (?, 'running', ?, ?)",
            _now(), version, bundle,
        )  # fmt: skip
        return int(self._value("SELECT max(id) FROM runs"))

    def end(
        self, number: int, state: Literal["complete", "interrupted"], counts: Mapping[str, int]
    ) -> None:
        """Enter the end of a run."""
        self._change(
            "UPDATE runs SET finished = ?, state = ?, counts = ? WHERE id = ?",
            _now(), state, canonical(dict(counts)), number,
        )  # fmt: skip

    def stop_killed(self) -> int:
        """Enter that runs were killed which never ended, and give their number."""
        return self._change("UPDATE runs SET state = 'stopped' WHERE state = 'running'")

    def report_state(self, path: str) -> str | None:
        """Fingerprint of a report folder when its reports were last attached to all images."""
        found = self._value("SELECT fingerprint FROM report_folders WHERE path = ?", path)
        return None if found is None else str(found)

    def report_folders(self) -> set[str]:
        """The report folders that any run attached reports from."""
        return {path for (path,) in self._all("SELECT path FROM report_folders")}

    def forget_report_folders(self) -> None:
        """Have all report folders looked through anew."""
        self._change("DELETE FROM report_folders")

    def set_report_states(self, states: Mapping[str, str]) -> None:
        """Enter fingerprints of report folders by path."""
        self._change_each("INSERT OR REPLACE INTO report_folders VALUES (?, ?)", states.items())


def _parsed(row: Sequence[Any]) -> Run:
    number, started, finished, state, made_by, bundle, counts = row
    return Run(number, started, finished, state, made_by, bundle, json.loads(counts))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
