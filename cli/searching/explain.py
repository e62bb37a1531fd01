"""`cxrdex explain`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from cli.options import DATABASE_VARIABLE, FiniteRange, Folder, bundle_option
from cli.searching.thumbnails import write_picture
from cli.terminal import echo

__all__ = ["explain"]


@click.command()
@click.argument("source", metavar="FILE_OR_ID")
@click.option("--label", required=True, help="Finding to look for, such as cardiomegaly or normal.")
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Picture to write, a PNG file.",
)
@click.option(
    "--opacity",
    type=FiniteRange(0, 1),
    default=0.5,
    help="How strongly the map covers the film.",
)
@click.option(
    "--database",
    type=Folder(),
    envvar=DATABASE_VARIABLE,
    show_envvar=True,
    help="Folder of the database, where an image is named by its id, or for its --polarity.",
)
@bundle_option
def explain(
    source: str,
    label: str,
    target: Path,
    opacity: float,
    database: Path | None,
    bundle_path: Path | None,
) -> None:
    """Draw where in a film the CNN saw a finding.

    FILE_OR_ID is an image file, or the id of an indexed image whose file is still where it was
    read. A cell of the map is 1/8 of the picture each way with the bundle that ships, so the map
    points to a region and outlines nothing.
    """
    from indexer.archive.decoding import DecodeSettings
    from indexer.cascade.bundle import Bundle
    from indexer.cascade.heatmap import HeatMaps
    from indexer.database.layout import Layout
    from indexer.errors import NotFoundError
    from search.pictures.explain import explain as located
    from search.pictures.explain import source_bytes

    bundle = Bundle.load(bundle_path)
    polarity = Layout(database).read_manifest().polarity if database is not None else None
    settings = DecodeSettings(
        bundle.size, bundle.squash, borders=bundle.borders, polarity=polarity or {}
    )
    file: Path | bytes = Path(source)
    name, pooled = source, None
    # A pipe or a folder is refused where it is read, with what it is.
    if not os.path.exists(source):
        if database is None:
            raise NotFoundError(
                f"{source} is no file; where it is the id of an image, name its --database"
            )
        from search.request import ImageId
        from search.service import SearchService

        with SearchService(database) as service:
            record = service.show(ImageId(source)).record
        file, name = source_bytes(record, settings.limits.file_bytes)
        name = f"image {record.id}"
        pooled = record.document["probabilities"].get(label) if record.pooled else None
    answer = located(file, name, HeatMaps(bundle), label, settings)
    write_picture(target, answer.png(opacity))
    echo(f"{label} {answer.heat.probability:.3f} in this image alone")
    if pooled is not None:
        echo(f"{label} {pooled:.3f} of its study, whose images are pooled in the database")
    echo(f"{target} shows where, in cells of 1/{len(answer.heat.cells)} of the picture")
