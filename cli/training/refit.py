"""Learn one part of a bundle anew: `python -m cli.training.refit PART DATASETS --output NEW`.

Commands beside `cxrdex train`, which does the same at the end of every training: they leave all
else of a bundle as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from cli.options import device_option
from cli.terminal import echo
from indexer.annotation import NORMAL
from indexer.cascade.bundle import Bundle
from indexer.errors import CxrdexError
from indexer.training import towers as text_towers
from indexer.training.interpretation import unusual as unusual_films
from indexer.training.interpretation.refit import refit_thresholds

__all__ = ["main"]

_Tell = Callable[[Mapping[str, Any]], Iterator[str]]


@click.group()
def main() -> None:
    """Learn one part of a bundle anew and write the bundle to another folder."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")


def _command(name: str, refit: Callable[..., Bundle]) -> Callable[[_Tell], click.Command]:
    """A command that refits a part, and prints what a function tells of the fresh record."""

    def decorate(tell: _Tell) -> click.Command:
        @main.command(name, help=tell.__doc__)
        @click.argument("datasets", type=click.Path(path_type=Path), nargs=-1, required=True)
        @click.option(
            "--bundle",
            type=click.Path(path_type=Path),
            help="[default: the one that ships with cxrdex]",
        )
        @click.option("--output", type=click.Path(path_type=Path), required=True, help="A folder.")
        @click.option(
            "--work",
            type=click.Path(path_type=Path),
            help="Folder for decoded pictures.  [default: OUTPUT.work]",
        )
        @device_option
        def command(
            datasets: tuple[Path, ...],
            bundle: Path | None,
            output: Path,
            work: Path | None,
            device: str,
        ) -> None:
            place = work or output.with_name(f"{output.name}.work")
            try:
                fresh = refit(Bundle.load(bundle), datasets, output, work=place, device=device)
            except CxrdexError as error:
                raise click.ClickException(str(error)) from error
            echo(f"{fresh.path}: bundle {fresh.name}, {fresh.hash}")
            for line in tell(fresh.record):
                echo(f"  {line}")

        return command

    return decorate


@_command("thresholds", refit_thresholds)
def _thresholds(record: Mapping[str, Any]) -> Iterator[str]:
    """Choose the thresholds of possible and likely findings by the `val` films of DATASETS."""
    for source, counts in record["thresholds"].items():
        rows = [row for name, row in counts.items() if name != NORMAL]
        sums = {key: sum(row[key] for row in rows) for key in next(iter(rows), {})}
        if sums:
            yield (
                f"{source}: of {sums['positives']} findings {sums['possible_right']} are "
                f"possible ({sums['possible']} are said to be), {sums['likely_right']} likely "
                f"({sums['likely']})"
            )


@_command("towers", text_towers.refit)
def _towers(record: Mapping[str, Any]) -> Iterator[str]:
    """Teach where sentences and pictures meet, by the reports, annotations and captions of
    DATASETS."""
    for when, sources in record["towers"].items():
        for source, kinds in sources.items():
            shares = ", ".join(f"{kind} {share:.3f}" for kind, share in kinds.items())
            yield f"median rank share on val {when}, {source}: {shares}"


@_command("unusual", unusual_films.refit)
def _unusual(record: Mapping[str, Any]) -> Iterator[str]:
    """Learn by the films of DATASETS what is called unusual."""
    for name, share in record["unusual"].items():
        yield f"{name}: {share:.2%} unusual"


if __name__ == "__main__":
    main()
