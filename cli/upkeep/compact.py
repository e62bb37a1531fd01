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
    """Give back the space that vectors of dropped images take, and merge small files.

    Shards with dead rows are written anew, the FAISS index follows, and the old files go. Killed
    at any moment nothing is lost; run it again. Searches that are open go on.
    """
    from indexer.database.writer import Writer

    with Writer.maintain(database, text="untouched") as writer:
        folders = (writer.layout.embeddings, writer.layout.vectors)
        before = _size(*folders)
        done = writer.compact(everything=True)
        freed = before - _size(*folders)
    if form == "json":
        emit_json({**done.to_json(), "freed_bytes": freed})
    else:
        echo(
            f"{done.dropped} dead rows dropped, {done.shards} shards written anew; "
            f"{freed / 2**20:.1f} MiB less"
        )


def _size(*folders: Path) -> int:
    files = (path for folder in folders for path in folder.rglob("*"))
    return sum(path.stat().st_size for path in files if path.is_file())
