"""`cxrdex merge`."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import Folder, database_option, format_option, store_options
from cli.terminal import echo, emit_json

__all__ = ["merge"]


@click.command()
@click.argument("parts", nargs=-1, required=True, type=Folder())
@database_option
@store_options
@format_option("json")
def merge(
    parts: tuple[Path, ...],
    database: Path,
    text_store: str | None,
    elasticsearch_url: str | None,
    vector_store: str | None,
    form: str,
) -> None:
    """Join the databases PARTS into a new one, as if one run had read all their archives.

    The parts may have been made on any machines, with one bundle and one id key. Nothing is read
    again: ids stay, of an image in several parts the first file counts, studies are pooled anew,
    and what people said and collected is kept. Killed before its end, it leaves no database; run it
    again. The parts are left as they are.
    """
    from indexer.database.choices import Choices
    from indexer.database.upkeep.merge import merge as merge_databases

    choices = Choices(text_store, elasticsearch_url, vector_store=vector_store)
    done = merge_databases(parts, database, choices)
    if form == "json":
        emit_json(done.to_json())
        return
    echo(
        f"{done.parts} databases merged: {done.files} files, {done.images} images; "
        f"{done.shared_images} images in several parts, {done.studies_pooled} studies pooled anew"
    )
    if done.shared_files:
        echo(f"{done.shared_files} files were in several parts: each counts as in the first")
    if done.labels.events or done.cohorts.cohorts:
        echo(
            f"{done.labels.events} labels ({done.labels.conflicts} findings judged differently: "
            f"the newest counts), {done.cohorts.cohorts} cohorts ({done.cohorts.conflicts} "
            "changed apart: kept side by side)"
        )
    if done.waiting:
        echo(f"{done.waiting} documents wait for Elasticsearch: `cxrdex sync` sends them")
