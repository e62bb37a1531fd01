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
    from indexer.database.writer import Writer
    from search.service import meanings_survive

    with meanings_survive(database), Writer.maintain(database, text="untouched") as writer:
        folders = (writer.layout.embeddings, writer.layout.vectors)
        before = _size(*folders)
        done = writer.compact(everything=True)
        held = writer.wipe()
        freed = before - _size(*folders)
    if form == "json":
        emit_json({**done.to_json(), "freed_bytes": freed})
    else:
        echo(
            f"{done.dropped} dead rows dropped, {done.shards} shards written anew; "
            f"{freed / 2**20:.1f} MiB less"
        )
    report_held(held)


def _size(*folders: Path) -> int:
    files = (path for folder in folders for path in folder.rglob("*"))
    return sum(path.stat().st_size for path in files if path.is_file())
