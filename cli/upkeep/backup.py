"""`cxrdex backup`."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import database_option, format_option
from cli.terminal import echo, emit_json

__all__ = ["backup"]


@click.command()
@click.argument("target", type=click.Path(path_type=Path, readable=False))
@database_option
@format_option("json")
def backup(target: Path, database: Path, form: str) -> None:
    """Copy a database to the new folder TARGET, consistently even while it is being written.

    To restore it, put the copy in the place of the database. The id key is not in it: keep the file
    that CXRDEX_KEY_FILE names as safe as the copy. Words in Elasticsearch are not copied; `cxrdex
    sync` fills them in again once the copy has taken the place of the database.
    """
    from indexer.database.upkeep.backup import back_up

    count = back_up(database, target)
    if form == "json":
        emit_json({"images": count, "target": str(target)})
    else:
        echo(f"{count} images copied to {target}")
