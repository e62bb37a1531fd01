"""`cxrdex search`."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import database_option, filter_option, format_option
from cli.output import HIT_FORMATS, emit_hits

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
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=10, show_default=True, help="Hits per page."
)
@click.option("--page", type=click.IntRange(1), default=1, show_default=True, help="Which page.")
@format_option(*HIT_FORMATS)
def search(
    query: str,
    database: Path,
    filters: tuple[str, ...],
    facets: tuple[str, ...],
    limit: int,
    page: int,
    form: str,
) -> None:
    """Find images by the words of their annotations and reports.

    QUERY knows words, "phrases", AND OR NOT, parentheses, field:value, ranges as in
    age:[40 TO 60], and words cut short by *. Words side by side must all be there. See
    docs/queries.md.
    """
    from search.engine import Engine

    with Engine(database) as engine:
        results = engine.search(
            query,
            filters=filters,
            facets=facets or ("disease", "side", "view"),
            limit=limit,
            page=page,
        )
    emit_hits(results, form)
    for note in results.notes:
        click.echo(f"Note: {note}", err=True)
    if form == "table":
        first = (page - 1) * limit
        shown = f"{first + 1} to {first + len(results.hits)} of " if results.hits else ""
        click.echo(f"{shown}{results.total} images")
