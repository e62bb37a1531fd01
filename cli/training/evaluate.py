"""`cxrdex evaluate`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.options import compute_options, format_option
from cli.terminal import console, echo, emit_json

if TYPE_CHECKING:
    from indexer.cascade.compute import Compute

__all__ = ["evaluate"]


def _part(value: str) -> str | Path:
    """A split's name, or a file that lists uids or image ids."""
    return Path(value) if Path(value).is_file() else value


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--part",
    default="val",
    help="A part of the set, or a file of studies or images, one a line.",
)
@click.option(
    "--protocol",
    type=click.Choice(["paper", "product", "retrieval", "words"]),
    default="product",
    help="What is judged: the paper's task, the product's readings, its search, or its search by "
    "the words of captions.",
)
@click.option(
    "--gallery",
    type=click.Path(path_type=Path),
    help="Data set in which similar images are looked for.  [default: DATASET]",
)
@click.option("--gallery-part", default="train", help="Its part, as for --part.")
@click.option(
    "--embeddings",
    type=click.Path(path_type=Path),
    help="Of `paper`, where --bundle is what `train --recipe bundle*` wrote: the bundle that it "
    "reads.  [default: the one that ships with cxrdex]",
)
@click.option(
    "--pool-studies/--no-pool-studies",
    default=True,
    help="Let the images of a study share their scores and vectors.",
)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the scores as JSON."
)
@click.option("--limit", type=click.IntRange(1), help="Use only so many images of each part.")
@compute_options
@format_option("json")
def evaluate(
    *,
    dataset: Path,
    part: str,
    protocol: str,
    gallery: Path | None,
    gallery_part: str,
    embeddings: Path | None,
    pool_studies: bool,
    output: Path | None,
    limit: int | None,
    compute: Compute,
    form: str,
) -> None:
    """Score a bundle on what is known of DATASET, a data set (docs/datasets.md).

    What the protocols measure, and the keys of their JSON, are in docs/evaluation.md. For the
    protocol `paper` the bundle may also be the folder of a cascade that `train --recipe` wrote.
    """
    if embeddings is not None and protocol != "paper":
        raise click.UsageError(f"--embeddings has no meaning for the protocol {protocol}")
    from indexer.evaluation import protocols
    from indexer.paper import protocol as paper

    started = time.perf_counter()
    common: dict[str, Any] = {
        "compute": compute,
        "limit": limit,
        "warn": lambda line: echo(f"Warning: {line}", err=True),
    }
    if protocol == "paper":
        scores = paper.evaluate(dataset, _part(part), embeddings=embeddings, **common)
    else:
        scores = protocols.evaluate(
            dataset,
            _part(part),
            next(p for p in protocols.PROTOCOLS if p == protocol),
            gallery=gallery,
            gallery_part=_part(gallery_part),
            pool_studies=pool_studies,
            **common,
        )
    scores["seconds"] = round(time.perf_counter() - started, 1)
    text = json.dumps(scores, indent=1)
    if output is not None:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(text + "\n")
        except OSError as error:
            raise click.ClickException(f"{output} cannot be written: {error.strerror}") from error
    if form == "json":
        emit_json(scores)
    else:
        _report(scores)


def _report(scores: Mapping[str, Any]) -> None:
    """The scores as people read them."""
    from rich import box
    from rich.table import Table

    from indexer.evaluation.tables import tables

    bundle = scores["bundle"]
    echo(
        f"{scores['protocol']} protocol, bundle {bundle['name']} {bundle['hash']}: "
        f"{scores['images']} images of {scores['studies']} studies of the part {scores['part']}, "
        f"in {scores['seconds']:.0f} s"
    )
    for reason, count in scores["left_out"].items():
        echo(f"  {count} left out: {reason}")
    for part in tables(scores):
        table = Table(title=part.title, title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column("", no_wrap=True)
        for head in part.heads:
            table.add_column(head, justify="right")
        for row in part.rows:
            table.add_row(*row)
        console().print(table)
    echo("In brackets: the middle 95 % of samples of studies.")
