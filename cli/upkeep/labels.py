"""`cxrdex labels`: what people said of images, as files and on the terminal."""

from __future__ import annotations

import getpass
from pathlib import Path

import click

from cli.options import database_option, format_option
from cli.terminal import echo, emit_json

__all__ = ["labels"]


@click.group()
def labels() -> None:
    """Take out and bring in what people said of images: accepted, rejected, corrected findings.

    They say it in `cxrdex serve`, on the page `/review` and on each case.
    """


@labels.command("export")
@click.option(
    "--to",
    "folder",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="A new folder for dataset.toml and labels.csv.",
)
@database_option
@format_option("json")
def export_(folder: Path, database: Path, form: str) -> None:
    """Write a data set that `cxrdex train` and `cxrdex evaluate` take as it is.

    Pictures stay where they lie. The table names their files, which may hold patient data.
    """
    from search.export.labels import export_labels
    from search.service import SearchService

    with SearchService(database) as service:
        done = export_labels(service, folder)
    if form == "json":
        emit_json(done.to_json())
        return
    echo(f"{done.images} images in {folder}")
    for finding, count in done.findings.items():
        echo(f"  {count:6} {finding}")
    for why, count in done.left_out.items():
        echo(f"{count} images left out: {why}")


@labels.command("import")
@click.argument("table", metavar="FILE.csv", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--person",
    default=getpass.getuser,
    show_default="who is logged in",
    help="Who said it, where the table has no such column.",
)
@database_option
@format_option("json")
def import_(table: Path, person: str, database: Path, form: str) -> None:
    """Say what a table says: columns `image`, `finding`, `verdict` (present or absent), and if need
    be `words` (with ; between) and `person`.

    Nothing is kept unless every row is right. What people said of other findings stays.
    """
    from search.labels.tables import import_table

    count = import_table(table, database, person)
    if form == "json":
        emit_json(count.to_json())
        return
    echo(f"{count.events} findings judged of {count.images} images")
    if count.waiting:
        echo("a run writes the database: searches find it after its next commit")


@labels.command()
@click.argument("image", metavar="ID")
@database_option
@format_option("json")
def history(image: str, database: Path, form: str) -> None:
    """Show all that people ever said of an image, who and when."""
    from search.labels.labelling import Labelling
    from search.request import ImageId
    from search.service import SearchService

    with SearchService(database) as service:
        found = Labelling(service).of(service.resolve(ImageId(image)))
    if form == "json":
        emit_json(found.to_json())
        return
    for event in found.events:
        words = f": {event.annotation.text}" if event.annotation else ""
        undoes = f" no. {event.undoes}" if event.undoes else ""
        what = f"{event.action}{undoes} {event.finding}{words}"
        echo(f"{event.number:6} {event.at} {event.person} {what}")
    if not found.events:
        echo(f"nobody has said anything of {found.image}")
