"""`cxrdex relocate`."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import database_option, format_option
from cli.terminal import echo, emit_json

__all__ = ["relocate"]


@click.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path, exists=True))
@database_option
@format_option("json")
def relocate(old: Path, new: Path, database: Path, form: str) -> None:
    """Tell a database that an archive has moved from OLD to NEW, or a folder that archives are in.

    Nothing is read: the next `cxrdex index NEW` finds all of its files known.
    """
    import os

    from indexer.database.upkeep.backup import relocate as move

    count = move(database, *(os.path.abspath(path) for path in (old, new)))
    if form == "json":
        emit_json({"files": count})
    else:
        echo(f"{count} files are at {new} now")
