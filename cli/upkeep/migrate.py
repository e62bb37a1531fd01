"""`cxrdex migrate`."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import database_option, format_option
from cli.terminal import echo, emit_json

__all__ = ["migrate"]


@click.command()
@database_option
@format_option("json")
def migrate(database: Path, form: str) -> None:
    """Bring the Elasticsearch index of a database to this version of cxrdex.

    A new index is filled from the database and takes the place of the old one in one step;
    searches of an earlier cxrdex go on until then. Killed before that, nothing has changed.
    """
    from indexer.database.writer import Writer

    with Writer.maintain(database, text="untouched") as writer:
        count = writer.outbox.migrate()
    if form == "json":
        emit_json({"documents": count})
    else:
        echo(f"{count} documents are in the new index")
