"""`cxrdex train`."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from cli.options import device_option

__all__ = ["train"]


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--output", type=click.Path(path_type=Path), required=True, help="Folder of the new bundle."
)
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    help="Folder for decoded pictures and checkpoints; an interrupted training goes on from it."
    "  [default: OUTPUT.work]",
)
@click.option("--name", default="cxrdex-base", show_default=True, help="Name of the bundle.")
@click.option("--epochs", default=5, show_default=True, help="Rounds of the CNN over the images.")
@click.option(
    "--members",
    default=3,
    show_default=True,
    help="CNNs trained one after the other and read side by side.",
)
@click.option("--batch-size", default=32, show_default=True, help="Images in a training step.")
@click.option(
    "--min-images",
    default=20,
    show_default=True,
    help="Findings and words of fewer training images are dropped.",
)
@click.option(
    "--cell",
    type=click.Choice(["gru", "lstm"]),
    default="gru",
    show_default=True,
    help="Kind of the RNN.",
)
@click.option(
    "--pretrained/--no-pretrained",
    default=True,
    show_default=True,
    help="Start the CNN from ImageNet weights.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of every random draw.")
@click.option("--limit", type=int, help="Use only so many images of each part.")
@device_option
def train(
    dataset: Path,
    output: Path,
    work: Path | None,
    name: str,
    epochs: int,
    members: int,
    batch_size: int,
    min_images: int,
    cell: str,
    pretrained: bool,
    seed: int,
    limit: int | None,
    device: str,
) -> None:
    """Train a bundle on the images and human annotations of DATASET.

    DATASET is a folder with images/, images.csv (image_id, uid, projection, split) and
    ecgen-radiology/*.xml, as Open-i lays its chest X-rays out. The part `train` is learned,
    thresholds are chosen on `val`.
    """
    from indexer.cascade.training import Recipe
    from indexer.cascade.training import train as train_bundle

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = Recipe(
        name=name,
        epochs=epochs,
        members=members,
        batch_size=batch_size,
        min_images=min_images,
        cell="lstm" if cell == "lstm" else "gru",
        pretrained=pretrained,
        seed=seed,
    )
    bundle = train_bundle(
        dataset,
        output,
        recipe,
        work=work or output.with_name(f"{output.name}.work"),
        device=device,
        limit=limit,
    )
    click.echo(f"{bundle.path}: bundle {bundle.name}, {bundle.hash}")
