"""`cxrdex export`."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import database_option, filter_option
from cli.terminal import echo

__all__ = ["export"]


@click.command()
@click.argument("query", required=False)
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write: .csv, .jsonl or .parquet (extra `parquet`), or .npy for the search "
    "vectors alone.",
)
@database_option
@filter_option
@click.option(
    "--cohort",
    metavar="ID",
    help="Only images of a cohort, by the id at the end of its address in `cxrdex serve`.",
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="NAME",
    help="A column, such as id, age, annotations:human or probability:*; may be repeated.  "
    "[default: all but report and sources]",
)
@click.option("--literal", is_flag=True, help="Take QUERY as it stands, not as plain English.")
@click.option("--report", is_flag=True, help="Add the report's text, which may hold patient data.")
@click.option(
    "--sources", is_flag=True, help="Add the paths of the files, which may hold patient data."
)
@click.option("--embeddings", is_flag=True, help="Add the search vector; of .parquet alone.")
@click.option(
    "--vectors",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A .npy file for the search vectors, a row for each row of the table.",
)
def export(
    *,
    query: str | None,
    target: Path,
    database: Path,
    filters: tuple[str, ...],
    cohort: str | None,
    columns: tuple[str, ...],
    literal: bool,
    report: bool,
    sources: bool,
    embeddings: bool,
    vectors: Path | None,
) -> None:
    """Write all images that match QUERY to a file, a row for each; without QUERY all images.

    Rows are in the order of their ids and of one moment of the database.
    """
    from indexer.database.cohorts.store import Cohorts
    from indexer.database.layout import Layout
    from search.export.exporting import ExportRequest
    from search.export.exporting import export as write
    from search.service import SearchService

    Layout(database).read_manifest()
    more = [name for name, wanted in (("report", report), ("sources", sources)) if wanted]
    request = ExportRequest(
        words=query,
        literal=literal,
        filters=filters,
        among=None if cohort is None else Cohorts(Layout(database).cohorts).get(cohort).images,
        columns=columns,
        more=tuple(more),
        embeddings=embeddings,
        vectors=vectors,
    )
    with SearchService(database) as service:
        count = write(service, request, target)
    echo(f"{count} images in {target}")
