"""`cxrdex failures`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import get_args

import click

from cli.options import database_option, format_option
from cli.terminal import console, echo, emit_json, emit_rows, one_line

__all__ = ["failures"]

_COLUMNS = ("status", "reason", "archive", "name", "detail", "attempts")


@click.command()
@database_option
@click.option(
    "--status",
    "kind",
    type=click.Choice(["skipped", "failed", "all"]),
    default="all",
    help="Which files to list.",
)
@click.option("--reason", help="Only files of this reason, such as truncated.")
@click.option("--limit", type=click.IntRange(1), help="List only so many.")
@format_option("json", "jsonl", "csv")
def failures(database: Path, kind: str, reason: str | None, limit: int | None, form: str) -> None:
    """List the files that were skipped or failed, and why.

    This shows paths, which may hold patient data.
    """
    from itertools import islice

    from indexer.database.ledger.files import FileStatus
    from indexer.database.reader import DatabaseReader

    statuses: tuple[FileStatus, ...] = tuple(
        name for name in get_args(FileStatus) if name == kind or kind == "all"
    )
    statuses = tuple(name for name in statuses if name in ("skipped", "failed"))
    with DatabaseReader.open(database) as opened:
        found = islice(opened.failures(statuses, reason), limit)
        rows = ({name: asdict(record)[name] for name in _COLUMNS} for record in found)
        if form == "json":
            emit_json(list(rows))
        elif form == "jsonl":
            for row in rows:
                emit_json(row, indent=None)
        elif form == "csv":
            emit_rows(rows, _COLUMNS)
        else:
            _table(list(rows))


def _table(rows: list[dict[str, object]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    if not rows:
        echo("No file was skipped, and none failed.")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("status", "reason", "file", "detail"):
        table.add_column(name, overflow="fold")
    for row in rows:
        reason = str(row["reason"]).replace("_", " ")
        style = "red" if row["status"] == "failed" else "yellow"
        table.add_row(
            Text(str(row["status"]), style),
            reason,
            Text(one_line(row["name"])),
            Text(one_line(row["detail"])),
        )
    console().print(table)
