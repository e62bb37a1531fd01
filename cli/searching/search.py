"""`cxrdex search`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from cli.options import (
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

__all__ = ["search"]


@click.command()
@click.argument("query")
@database_option
@filter_option
@click.option(
    "--facet",
    "facets",
    multiple=True,
    metavar="FIELD",
    help="Count the values of this field. May be repeated.  [default: disease, side, view]",
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=10, help="Hits per page.")
@click.option("--page", type=click.IntRange(1), default=1, help="Which page.")
@click.option(
    "--after",
    metavar="TOKEN",
    help="The page after another one, which printed this token; at any depth.",
)
@click.option(
    "--sort",
    default="score",
    metavar="FIELD[:desc]",
    help="Order of the hits: score, age, year or id.",
)
@click.option(
    "--choose",
    "choices",
    multiple=True,
    metavar="FACET=VALUE",
    help="Keep only images of this value, but let its facet show all values. May be repeated; "
    "several of one facet count as any of them.",
)
@click.option(
    "--mode",
    type=click.Choice(["words", "semantic", "hybrid"]),
    default="words",
    help="By the words themselves, by what they mean, or both.",
)
@click.option(
    "--image", metavar="FILE_OR_ID", help="Find images like this one too: an image file or an id."
)
@click.option(
    "--include-unusual",
    is_flag=True,
    help="By meaning or picture, find pictures that are hardly chest films, too.",
)
@click.option(
    "--literal",
    is_flag=True,
    help="Take plain English for a query in the language: no, and, over 60 are words like others.",
)
@images_option
@show_option
@compute_options
@format_option(*HIT_FORMATS)
def search(
    *,
    query: str,
    database: Path,
    filters: tuple[str, ...],
    facets: tuple[str, ...],
    limit: int,
    page: int,
    after: str | None,
    sort: str,
    choices: tuple[str, ...],
    mode: Literal["words", "semantic", "hybrid"],
    image: str | None,
    include_unusual: bool,
    literal: bool,
    images: bool,
    show: bool,
    compute: Compute,
    form: str,
) -> None:
    """Find images by the words of their annotations and reports, by meaning, or like a picture.

    QUERY is plain English, as in "COPD in women over 60, no effusion"; how it was understood stands
    above the answer, and --literal takes it as it stands. Or it knows words, "phrases", AND OR NOT,
    parentheses, field:value, ranges as in age:[40 TO 60], wildcards * and ?, near words~, boosts^2,
    finding:(effusion left) within one annotation, and absent:pneumothorax. Words side by side must
    all be there. See docs/queries.md. With --mode semantic it is any sentence.
    """
    from search.request import ImageId, SearchRequest
    from search.service import SearchService

    request = SearchRequest.of(
        query,
        mode,
        picture=None if image is None else named_picture(image),
        filters=filters,
        facets=facets or ("disease", "side", "view"),
        choices=choices,
        limit=limit,
        page=page,
        after=after,
        sort=sort,
        literal=literal,
        include_unusual=include_unusual,
        group=None if images else "study",
    )
    with SearchService(database, compute) as service:
        draw = thumbnail_drawer(lambda i: service.thumbnail(ImageId(i))) if show else None
        results = service.search(request)
        understood = results.understood
        if form == "table" and understood is not None and understood["query"] != query:
            echo(f"Understood as: {understood['query']}")
        emit_hits(results, form, draw)
    if form == "table":
        first = (page - 1) * limit
        shown = len(results.hits)
        rows = "images" if images else "studies"
        where = f"{rows} {first + 1} to {first + shown}; " if shown and not after else ""
        echo(
            f"{where}{results.total} images match"
            if mode == "words" and image is None
            else f"{where}{results.total} images were ranked"
        )
        for word, near in results.suggestions.items():
            echo(f"{word} is unknown; did you mean {' or '.join(near)}?")
        if results.after is not None:
            echo(f"next page: --after {results.after}")
