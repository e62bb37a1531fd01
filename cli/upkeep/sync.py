"""`cxrdex sync`."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import database_option, format_option
from cli.terminal import echo, emit_json

__all__ = ["sync"]


@click.command()
@database_option
@format_option("json")
def sync(database: Path, form: str) -> None:
    """Send the documents that wait because Elasticsearch did not answer when they were indexed."""
    from indexer.database.writer import Writer

    with Writer.maintain(database, text="untouched") as writer:
        sent = writer.outbox.sync()
        waiting = writer.ledger.outbox.count
    if form == "json":
        emit_json({"sent": sent, "waiting": waiting})
    else:
        echo(f"{sent} documents sent, {waiting} wait")
