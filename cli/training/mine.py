"""`cxrdex mine`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import format_option
from cli.terminal import console, echo, emit_json, emit_rows

if TYPE_CHECKING:
    from indexer.datasets.annotated import Collection, LabelSource, SplitName
    from indexer.datasets.survey import MiningReport

__all__ = ["mine"]

_COLUMNS = ("label", "name", "images", "studies", "shared", "kept", "reason")
_MIN_IMAGES = 20


@click.command()
@click.argument("path", metavar="DIR", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--labels",
    "source",
    type=click.Choice(["mesh", "text"]),
    help="Human MeSH terms, or findings in the reports' text.  [default: mesh; text where there"
    " are only .txt reports]",
)
@click.option(
    "--classes",
    type=click.Choice(["paper"]),
    help="The 17 fixed classes of the paper, for images of a single finding.",
)
@click.option(
    "--min-images",
    type=click.IntRange(1),
    help=f"Fewest images of a label, where they are mined.  [default: {_MIN_IMAGES}]",
)
@click.option(
    "--part",
    type=click.Choice(["train", "val", "test", "all"]),
    default="all",
    help="Only images of this part.",
)
@click.option(
    "--rows",
    type=click.IntRange(0),
    default=40,
    help="Most rows of each table; 0 shows all. JSON and CSV always have all.",
)
@format_option("json", "csv")
def mine(
    path: Path,
    source: LabelSource | None,
    classes: str | None,
    min_images: int | None,
    part: SplitName,
    rows: int,
    form: str,
) -> None:
    """Show what annotations would teach a cascade, what is left out, and why.

    DIR is a folder in the layout of the Open-i download with images.csv, a folder, zip or tar of
    Open-i *.xml or of *.txt reports, or a CSV file with the columns image_id and annotation
    (such as Opacity/lung/upper lobe/right; several with ; between them), and if need be study
    and split.
    """
    from indexer.datasets.annotated import load_annotated
    from indexer.datasets.survey import survey

    if classes and min_images is not None:
        raise click.UsageError("--min-images is for mined labels; --classes paper has fixed ones.")
    collection = load_annotated(path, source, part)
    report = survey(collection.images, None if classes else min_images or _MIN_IMAGES)
    for problem in collection.problems:
        echo(f"Warning: {problem}", err=True)
    if form == "json":
        emit_json(report.to_json(collection))
    elif form == "csv":
        emit_rows(report.rows(), _COLUMNS)
    else:
        _tables(collection, report, rows)


def _histogram(counts: dict[int, int]) -> str:
    return "  ".join(f"{number}: {count}" for number, count in counts.items()) or "-"


def _tables(collection: Collection, report: MiningReport, most: int) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    out, totals = console(), report.totals
    lines = {
        "labels": "human MeSH terms" if collection.source == "mesh" else "found in the text",
        "images": f"{totals.images} of {totals.studies} studies",
        "not annotated": f"{totals.unannotated} images (No Indexing, or nothing known)",
        "normal": f"{totals.normal} images",
        "distinct": f"{totals.terms} terms, {totals.qualifiers} qualifiers,"
        f" {totals.patterns} sets of terms",
        "terms of an abnormal image": _histogram(totals.terms_per_image),
        "words of an annotation": _histogram(totals.words_per_annotation),
        "left aside": f"{collection.without_image} reports without an image,"
        f" {collection.without_report} images without a report,"
        f" {len(collection.problems)} unreadable reports",
    }
    for name, text in lines.items():
        out.print(Text.assemble((f"{name}: ", "bold"), text))
    for label, entries in report.tables.items():
        kept = sum(entry.kept for entry in entries)
        table = Table(
            title=f"{label}: {kept} kept, {len(entries) - kept} dropped",
            title_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
        )
        for column in ("", label, "images", "studies", "with other terms", "why"):
            number = column in ("images", "studies", "with other terms")
            table.add_column(column, justify="right" if number else "left", overflow="fold")
        shown = entries[: most or None]
        for entry in shown:
            table.add_row(
                Text("kept", "green") if entry.kept else Text("dropped", "yellow"),
                Text(entry.title),
                str(entry.images),
                str(entry.studies),
                str(entry.shared),
                Text(entry.reason),
            )
        out.print(table)
        if len(shown) < len(entries):
            out.print(Text(f"and {len(entries) - len(shown)} more: --rows 0 shows all", "dim"))
    pairs = report.overlaps[:10]
    text = "  ".join(f"{first} + {second}: {count}" for first, second, count in pairs) or "-"
    out.print(Text.assemble(("most often together: ", "bold"), text))
