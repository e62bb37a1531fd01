"""Choose a bundle's thresholds anew: `python -m cli.training.thresholds DATASETS --output NEW`.

A command of its own beside `cxrdex train`, which does the same at the end of every training: it
leaves all else of a bundle as it is.
"""

from __future__ import annotations

import logging
from pathlib import Path

import click

from cli.options import device_option
from cli.terminal import echo
from indexer.annotation import NORMAL
from indexer.cascade.bundle import Bundle
from indexer.errors import CxrdexError
from indexer.training.interpretation.refit import refit_thresholds

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
    """Write to OUTPUT a bundle that differs in its thresholds alone, chosen by the `val` films of
    DATASETS."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    place = work or output.with_name(f"{output.name}.work")
    try:
        fresh = refit_thresholds(Bundle.load(bundle), datasets, output, work=place, device=device)
    except CxrdexError as error:
        raise click.ClickException(str(error)) from error
    echo(f"{fresh.path}: bundle {fresh.name}, {fresh.hash}")
    for source, counts in fresh.record["thresholds"].items():
        rows = [row for name, row in counts.items() if name != NORMAL]
        sums = {key: sum(row[key] for row in rows) for key in next(iter(rows), {})}
        if sums:
            echo(
                f"  {source}: of {sums['positives']} findings {sums['possible_right']} are "
                f"possible ({sums['possible']} are said to be), {sums['likely_right']} likely "
                f"({sums['likely']})"
            )


if __name__ == "__main__":
    main()
