"""`cxrdex compact`."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import database_option, format_option
from cli.terminal import echo, emit_json

__all__ = ["compact"]


@click.command()
@database_option
@format_option("json")
def compact(database: Path, form: str) -> None:
    """Give back the space of what was dropped, leave no byte of it, and merge small files.

    Shards with dead rows are written anew, the FAISS index follows, and the old files go. So does
    the text store where it keeps dropped or replaced documents, and the SQLite files. Killed at any
    moment nothing is lost; run it again. Searches that are open go on.
    """
    from cli.upkeep.forget import report_held
    from indexer.database.upkeep.compaction import compact as give_back
    from indexer.database.writer import Writer
    from search.service import meanings_survive

    with meanings_survive(database), Writer.maintain(database, text="untouched") as writer:
        done = give_back(writer)
    if form == "json":
        emit_json(done.to_json())
    else:
        echo(
            f"{done.dropped} dead rows dropped, {done.shards} shards written anew; "
            f"{done.freed_bytes / 2**20:.1f} MiB less"
        )
    report_held(done.held)
