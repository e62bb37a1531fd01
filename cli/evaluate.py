"""`cxrdex evaluate`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from cli.options import bundle_option, device_option, format_option, runtime_options

__all__ = ["evaluate"]


def _part(value: str) -> str | Path:
    """A split's name, or a file that lists uids or image ids."""
    return Path(value) if Path(value).is_file() else value


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--part",
    default="val",
    show_default=True,
    help="A split of images.csv, or a file of uids or image ids, one a line.",
)
@click.option(
    "--protocol",
    type=click.Choice(["paper", "product", "retrieval"]),
    default="product",
    show_default=True,
    help="What is judged: the paper's task, the product's readings, or its search.",
)
@click.option(
    "--gallery",
    type=click.Path(path_type=Path),
    help="Data set in which similar images are looked for.  [default: DATASET]",
)
@click.option("--gallery-part", default="train", show_default=True, help="Its part, as for --part.")
@bundle_option
@click.option(
    "--pool-studies/--no-pool-studies",
    default=True,
    show_default=True,
    help="Let the images of a study share their scores and vectors.",
)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the scores as JSON."
)
@click.option("--limit", type=click.IntRange(1), help="Use only so many images of each part.")
@device_option
@runtime_options
@format_option("json")
def evaluate(
    dataset: Path,
    part: str,
    protocol: str,
    gallery: Path | None,
    gallery_part: str,
    bundle_path: Path | None,
    pool_studies: bool,
    output: Path | None,
    limit: int | None,
    device: str,
    runtime: str,
    precision: str,
    form: str,
) -> None:
    """Score a bundle on the human annotations of DATASET, a folder in the Open-i layout.

    What the protocols measure, and the keys of their JSON, are in docs/evaluation.md.
    """
    from indexer.cascade.bundle import Bundle
    from indexer.cascade.evaluation import protocols

    scores = protocols.evaluate(
        Bundle.load(bundle_path),
        dataset,
        _part(part),
        next(name for name in protocols.PROTOCOLS if name == protocol),
        gallery=gallery,
        gallery_part=_part(gallery_part),
        pool_studies=pool_studies,
        device=device,
        runtime=runtime,
        precision=precision,
        limit=limit,
    )
    text = json.dumps(scores, indent=1)
    if output is not None:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(text + "\n")
        except OSError as error:
            raise click.ClickException(f"{output} cannot be written: {error.strerror}") from error
    if form == "json":
        click.echo(text)
    else:
        _report(scores)


def _report(scores: Mapping[str, Any]) -> None:
    """The scores as people read them: one table for each group of numbers."""
    bundle = scores["bundle"]
    click.echo(
        f"{scores['protocol']} protocol, bundle {bundle['name']} {bundle['hash']}: "
        f"{scores['images']} images of {scores['studies']} studies"
    )
    plain = {k: v for k, v in scores.items() if isinstance(v, float)}
    if plain:
        _table("scores", {name: {"": value} for name, value in plain.items()})
    for name, group in _groups(scores):
        _table(name, group)
    for name, ends in scores.get("intervals", {}).items():
        if ends:
            click.echo(f"95 % interval of {name}: {ends[0]} to {ends[1]}")


def _groups(scores: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Mapping[str, Any]]]]:
    """Groups of rows that hold numbers; a group of groups is taken apart."""
    left_out = {"bundle", "intervals", "unpooled"}
    found: list[tuple[str, Mapping[str, Mapping[str, Any]]]] = []
    for name, group in scores.items():
        if not isinstance(group, Mapping) or name in left_out:
            continue
        rows = {k: v for k, v in group.items() if isinstance(v, Mapping)}
        if not rows:
            found.append((name, {"": group}))
        elif any(isinstance(cell, Mapping) for row in rows.values() for cell in row.values()):
            found += [(f"{name}: {key}", part) for key, part in _groups(rows)]
        else:
            found.append((name, rows))
    return found


def _table(title: str, rows: Mapping[str, Mapping[str, Any]]) -> None:
    from rich import box
    from rich.table import Table

    from cli.output import console

    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_header=any(columns))
    table.add_column("")
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    for name, row in rows.items():
        cells = (row.get(column) for column in columns)
        table.add_row(name, *("" if cell is None else f"{cell:g}" for cell in cells))
    console().print(table)
