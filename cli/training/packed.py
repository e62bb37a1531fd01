"""Train a packed CNN on a machine with a GPU: `python -m cli.training.packed FILE`.

A command of its own beside `cxrdex`: that machine has none of the packages that indexing needs.
"""

from __future__ import annotations

import logging
from pathlib import Path

import click

from cli.terminal import echo
from indexer.errors import CxrdexError
from indexer.training.cnn.packed import train_packed

__all__ = ["main"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--output", type=click.Path(path_type=Path), required=True, help="A folder.")
@click.option(
    "--start", type=click.Path(path_type=Path), help="The bundle that the training starts from."
)
@click.option("--device", default="cuda", help="cpu, cuda or cuda:1.")
def main(file: Path, output: Path, start: Path | None, device: str) -> None:
    """Train the CNN of FILE, which `cxrdex train ... --pack FILE` wrote.

    The CNN in the folder OUTPUT, copied into the folder --work of that training, is taken for its
    own by the same command without --pack.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        echo(str(train_packed(file, output, start=start, device=device)))
    except CxrdexError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
