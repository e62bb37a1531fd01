"""`cxrdex similar`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from cli.options import (
    compute_options,
    database_option,
    filter_option,
    format_option,
)
from cli.output import HIT_FORMATS, emit_hits
from cli.searching.pictures import named_picture
from cli.terminal import echo

if TYPE_CHECKING:
    from indexer.cascade.compute import Compute

__all__ = ["similar"]


@click.command()
@click.argument("image", metavar="FILE_OR_ID")
@database_option
@click.option(
    "-k", "--limit", type=click.IntRange(1, 10_000), default=10, show_default=True, help="Hits."
)
@filter_option
@click.option("--exclude-study", is_flag=True, help="Leave out images of the query's own study.")
@click.option(
    "--exclude-patient", is_flag=True, help="Leave out images of the query's own patient."
)
@click.option(
    "--pool-studies/--no-pool-studies",
    default=True,
    show_default=True,
    help="Compare whole studies by their mean vectors, not single images.",
)
@click.option(
    "--include-unusual",
    is_flag=True,
    help="Find pictures that are hardly chest films, too; they are left out else.",
)
@click.option("--group", type=click.Choice(["study"]), help="Show only the best image of each.")
@compute_options
@format_option(*HIT_FORMATS)
def similar(
    image: str,
    database: Path,
    limit: int,
    filters: tuple[str, ...],
    exclude_study: bool,
    exclude_patient: bool,
    pool_studies: bool,
    include_unusual: bool,
    group: Literal["study"] | None,
    compute: Compute,
    form: str,
) -> None:
    """Find the images most like an image file or an indexed image.

    FILE_OR_ID is a DICOM or picture file, or the id of an indexed image as searches show it. The
    score is the likeness of the two pictures: 1 for the same picture.
    """
    from search.request import SearchRequest
    from search.service import SearchService

    request = SearchRequest(
        picture=named_picture(image),
        filters=filters,
        limit=limit,
        group=group,
        exclude="patient" if exclude_patient else "study" if exclude_study else None,
        pool_studies=pool_studies,
        include_unusual=include_unusual,
    )
    with SearchService(database, compute) as service:
        results = service.search(request)
    emit_hits(results, form)
    if form == "table":
        echo(f"{len(results.hits)} nearest of {results.total} images")
