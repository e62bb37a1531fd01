"""`cxrdex status`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import database_option, format_option
from cli.terminal import echo, emit_json

if TYPE_CHECKING:
    from indexer.database.upkeep.status import DatabaseStatus

__all__ = ["status"]


@click.command()
@database_option
@format_option("json")
def status(database: Path, form: str) -> None:
    """Count what a database holds, and say what it was made with."""
    from indexer.database.reader import DatabaseReader
    from indexer.database.upkeep.status import DatabaseStatus

    with DatabaseReader.open(database) as opened:
        found = DatabaseStatus.of(opened)
    if form == "json":
        emit_json(found.to_json())
    else:
        _show(found)


def _show(found: DatabaseStatus) -> None:
    index, last = found.generation, found.last_run
    on_server = found.manifest.vectors == "elasticsearch"
    vectors = "in Elasticsearch, beside the words" if on_server else "no FAISS index"
    rows = [
        ("files", ", ".join(f"{count} {name}" for name, count in found.files.items())),
        ("indexed", f"{found.images} images of {found.studies} studies"),
        *(("archive", f"{path}: {count} files") for path, count in found.archives.items()),
        ("bundle", f"{found.manifest.bundle_name} {found.manifest.bundle}"),
        ("text store", found.manifest.text),
        ("vectors", index.summary(found.fresh, found.dead) if index else vectors),
    ]
    if found.waiting:
        rows.append(("waiting", f"{found.waiting} documents for the text store"))
    if last:
        rows.append(("last run", f"{last.state}, {last.finished or last.started}"))
    for name, value in rows:
        echo(f"{name:12} {value}")
    for kind, reasons in found.reasons.items():
        for reason, count in reasons.items():
            echo(f"{kind:12} {count} {reason.replace('_', ' ')}")
