"""Teach a bundle's sentences and pictures anew where they meet: `python -m cli.training.towers
DATASETS --output NEW`.

A command of its own beside `cxrdex train`, which does the same at the end of every training: it
leaves all else of a bundle as it is.
"""

from __future__ import annotations

import logging
from pathlib import Path

import click

from cli.options import device_option
from cli.terminal import echo
from indexer.cascade.bundle import Bundle
from indexer.errors import CxrdexError
from indexer.training.towers import refit

__all__ = ["main"]


@click.command()
@click.argument("datasets", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--bundle", type=click.Path(path_type=Path), help="[default: the one that ships with cxrdex]"
)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="A folder.")
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    help="Folder for decoded pictures.  [default: OUTPUT.work]",
)
@device_option
def main(
    datasets: tuple[Path, ...], bundle: Path | None, output: Path, work: Path | None, device: str
) -> None:
    """Write to OUTPUT a bundle that differs alone in where sentences and pictures meet, learnt from
    the reports, annotations and captions of DATASETS."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    place = work or output.with_name(f"{output.name}.work")
    try:
        fresh = refit(Bundle.load(bundle), datasets, output, work=place, device=device)
    except CxrdexError as error:
        raise click.ClickException(str(error)) from error
    echo(f"{fresh.path}: bundle {fresh.name}, {fresh.hash}")
    for when, sources in fresh.record["towers"].items():
        for source, kinds in sources.items():
            shares = ", ".join(f"{kind} {share:.3f}" for kind, share in kinds.items())
            echo(f"  median rank share on val {when}, {source}: {shares}")


if __name__ == "__main__":
    main()
