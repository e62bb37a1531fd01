"""`cxrdex similar`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import (
    FiniteRange,
    compute_options,
    database_option,
    filter_option,
    format_option,
    images_option,
    show_option,
)
from cli.searching.output import HIT_FORMATS, emit_hits
from cli.searching.pictures import named_picture
from cli.searching.thumbnails import thumbnail_drawer
from cli.terminal import echo

if TYPE_CHECKING:
    from indexer.cascade.compute import Compute

__all__ = ["similar"]


@click.command()
@click.argument("image", metavar="FILE_OR_ID")
@database_option
@click.option("-k", "--limit", type=click.IntRange(1, 10_000), default=10, help="Hits.")
@filter_option
@click.option("--exclude-study", is_flag=True, help="Leave out images of the query's own study.")
@click.option(
    "--exclude-patient", is_flag=True, help="Leave out images of the query's own patient."
)
@click.option(
    "--pool-studies/--no-pool-studies",
    default=True,
    help="Compare whole studies by their mean vectors, not single images.",
)
@click.option(
    "--include-unusual",
    is_flag=True,
    help="Find pictures that are hardly chest films, too; they are left out else.",
)
@click.option(
    "--least",
    type=FiniteRange(0, 1),
    default=0.0,
    help="Leave out what is less like it than this score.",
)
@images_option
@show_option
@click.option("--group", type=click.Choice(["study"]), hidden=True, help="As it is.")
@compute_options
@format_option(*HIT_FORMATS)
def similar(
    *,
    image: str,
    database: Path,
    limit: int,
    filters: tuple[str, ...],
    exclude_study: bool,
    exclude_patient: bool,
    pool_studies: bool,
    include_unusual: bool,
    least: float,
    images: bool,
    show: bool,
    group: str | None,
    compute: Compute,
    form: str,
) -> None:
    """Find the images most like an image file or an indexed image.

    FILE_OR_ID is a DICOM or picture file, also alone in a zip or tar, or the id of an indexed image
    as searches show it. The score is the chance that both show a finding of one name (normal counts
    as one), judged by their vectors alone and calibrated on films that people had described: 1 for
    the same picture, or a copy of it, below 1 for any other. One row stands for a study; its images
    are compared together, and the one of the same view comes first.
    """
    from search.request import ImageId, SearchRequest
    from search.service import SearchService

    request = SearchRequest(
        picture=named_picture(image),
        filters=filters,
        limit=limit,
        group=None if images else "study",
        least_likeness=least,
        exclude="patient" if exclude_patient else "study" if exclude_study else None,
        pool_studies=pool_studies,
        include_unusual=include_unusual,
    )
    with SearchService(database, compute) as service:
        draw = thumbnail_drawer(lambda i: service.thumbnail(ImageId(i))) if show else None
        results = service.search(request)
        emit_hits(results, form, draw)
    if form == "table":
        rows = "images" if images else "studies"
        echo(f"{len(results.hits)} nearest {rows} of {results.total} images compared")
