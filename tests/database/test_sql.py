"""SQL has one home."""

from __future__ import annotations

import re
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_STATEMENT = re.compile(
    r"""["'](?:SELECT|INSERT|UPDATE|DELETE|REPLACE|CREATE|DROP|ALTER|PRAGMA|ATTACH|VACUUM)\s"""
    r"|\bsqlite3\.connect\("
)
# Beside the ledger: pictures, cohorts, the server's audit, how files are opened and copied, and a
# private temporary table of hashed names which no database sees.
_OTHERS = {
    "indexer/database/thumbnail_store.py",
    "indexer/database/sqlite.py",
    "indexer/database/cohorts/store.py",
    "indexer/archive/reports.py",
    # Asks SQLite whether anything was committed, and no table.
    "search/snapshot.py",
    # A file of the server's own, sealed row by row; it may lie outside of any database.
    "search/web/audit/trail.py",
}


def test_no_sql_stands_outside_the_ledger() -> None:
    found = {
        path.relative_to(_ROOT).as_posix()
        for top in ("indexer", "search", "cli", "cxrdex")
        for path in (_ROOT / top).rglob("*.py")
        if _STATEMENT.search(path.read_text())
    }
    ledger = {name for name in found if name.startswith("indexer/database/ledger/")}
    assert len(ledger) >= 8
    assert found - ledger <= _OTHERS
