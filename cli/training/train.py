"""`cxrdex train`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
from click.core import ParameterSource

from cli.logs import log_on_stderr
from cli.options import FiniteRange, device_option
from cli.terminal import echo
from indexer.learning.changes import AppearanceChange
from indexer.paper.recipe import RECIPES, PaperRecipe, chosen

if TYPE_CHECKING:
    from indexer.paper.model import PaperModel

__all__ = ["train"]

_PRODUCT = "product"
# Options that only one kind of recipe has.
_OF_PRODUCT = (
    "name",
    "backbones",
    "weights",
    "grey_range",
    "min_images",
    "cell",
    "pretrained",
    "start",
    "teachers",
    "teacher_views",
    "kept",
    "interpolation",
    "frozen",
    "strong",
    "jpeg",
    "left_out",
    "pack",
)
_OF_PAPER = ("bundle", "full_schedule", "compare")


@click.command()
@click.argument("datasets", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the new bundle, or of the paper's cascade.",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    help="Folder for decoded pictures and checkpoints; an interrupted training goes on from it."
    "  [default: OUTPUT.work]",
)
@click.option(
    "--recipe",
    type=click.Choice([_PRODUCT, *RECIPES]),
    default=_PRODUCT,
    help="`product` trains a bundle; the others the cascade of the paper: `paper-*` on pictures, "
    "`bundle*` on the embeddings of a bundle (minutes on a CPU).",
)
@click.option("--name", help="Name of the bundle.  [default: that of the folder OUTPUT]")
@click.option(
    "--epochs",
    type=click.IntRange(min=0),
    help="Rounds of the CNN over the images; 0 leaves those of --start as they are.  [default: the "
    "recipe's own]",
)
@click.option(
    "--start",
    type=click.Path(path_type=Path),
    help="Train the CNNs of this bundle on; what nobody says of a picture it teaches.",
)
@click.option(
    "--teacher",
    "teachers",
    type=click.Path(path_type=Path),
    multiple=True,
    help="This bundle teaches what nobody says of a picture, and not --start; given several times, "
    "the mean of them.",
)
@click.option(
    "--teacher-views",
    type=click.IntRange(1, 6),
    default=1,
    show_default=True,
    help="Of so many views of each picture, slightly shifted and enlarged, teachers tell the mean.",
)
@click.option(
    "--keep",
    "kept",
    type=click.IntRange(min=0),
    default=0,
    help="Leave the last so many CNNs as they are in --start, beside those that are trained on.",
)
@click.option(
    "--interpolate",
    "interpolation",
    type=FiniteRange(0, 1),
    default=1.0,
    help="Share of the way from the weights of --start to the trained ones at which a CNN ends; "
    "less than 1 keeps more of what --start knew.",
)
@click.option(
    "--frozen",
    type=click.IntRange(min=0),
    default=0,
    help="Leave so many stages of the CNN as they start; each makes a step cheaper.",
)
@click.option(
    "--appearance/--no-appearance",
    "strong",
    default=None,
    help="Augment by what differs between hospitals (gamma, contrast, noise, letters ...), too.  "
    "[default: with several data sets]",
)
@click.option("--jpeg", is_flag=True, help="With --appearance, augment by JPEG compression, too.")
@click.option(
    "--leave-out",
    "left_out",
    type=click.Choice(get_args(AppearanceChange)),
    multiple=True,
    help="Leave this change out of augmentation; may be given several times.",
)
@click.option(
    "--backbone",
    "backbones",
    multiple=True,
    help="A timm model, such as densenet121; given several times, one CNN for each, trained one "
    "after the other and read side by side.  [default: the recipe's own]",
)
@click.option(
    "--weights",
    type=click.Path(path_type=str),
    help="Start the CNN from this file of weights, such as a torchxrayvision DenseNet's.",
)
@click.option(
    "--grey-range",
    type=FiniteRange(min=0, min_open=True),
    default=1.0,
    help="These weights expect grey values of -RANGE..RANGE (torchxrayvision: 1024).",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=2),
    default=32,
    help="Images in a training step.",
)
@click.option(
    "--min-images",
    type=click.IntRange(min=1),
    default=20,
    help="Findings and words of fewer training images are dropped.",
)
@click.option(
    "--cell",
    type=click.Choice(["gru", "lstm"]),
    default="gru",
    help="Kind of the RNN.",
)
@click.option(
    "--pretrained/--no-pretrained",
    default=True,
    help="Start the CNN from ImageNet weights.",
)
@click.option("--seed", default=0, help="Seed of every random draw.")
@click.option("--limit", type=click.IntRange(min=1), help="Use only so many images of each part.")
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="Whose embeddings `bundle*` recipes read.  [default: the one that ships with cxrdex]",
)
@click.option(
    "--rounds",
    "feedback",
    type=click.IntRange(min=0),
    help="Rounds of feedback; in a bundle the last so many CNNs learn the composite labels of "
    "those before them, a single one by its head alone.  [default: the recipe's own]",
)
@click.option(
    "--clusters",
    type=click.IntRange(min=2),
    help="Composite labels of each large finding.  [default: by the finding's size]",
)
@click.option("--full-schedule", is_flag=True, help="The paper's 100 full epochs, for a GPU.")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    help="Write curves, composite labels, their map and scores to this .md or .html file.",
)
@click.option(
    "--pack",
    type=click.Path(path_type=Path),
    help="Train nothing: write what the first CNN learns from to this file, for a machine with a "
    "GPU (docs/datasets.md).",
)
@click.option(
    "--compare",
    type=click.Choice(list(RECIPES)),
    multiple=True,
    help="Train this paper recipe too and show it in the report; may be given several times.",
)
@device_option
@click.pass_context
def train(
    ctx: click.Context,
    /,
    *,
    datasets: tuple[Path, ...],
    output: Path,
    work: Path | None,
    recipe: str,
    epochs: int | None,
    start: Path | None,
    teachers: tuple[Path, ...],
    batch_size: int,
    seed: int,
    limit: int | None,
    bundle: Path | None,
    feedback: int | None,
    clusters: int | None,
    full_schedule: bool,
    report: Path | None,
    pack: Path | None,
    compare: tuple[str, ...],
    device: str,
    **settings: Any,
) -> None:
    """Train a bundle on one or several data sets, however each is labelled.

    A data set is a folder in the layout of a collection that is built in (Open-i, ChestX-ray14,
    CheXpert ...), or one that a dataset.toml describes: annotations, tables of labels, reports,
    captions, or beside a teacher pictures alone (docs/datasets.md). The parts `train` are learned;
    calibration, thresholds and epochs are chosen on the parts `val`, by the mean over data sets.
    """
    _refuse(ctx, recipe, _OF_PAPER if recipe == _PRODUCT else _OF_PRODUCT)
    log_on_stderr(ctx)
    folder = work or output.with_name(f"{output.name}.work")
    changes = _given(batch_size=batch_size, seed=seed, epochs=epochs, clusters=clusters)
    if recipe != _PRODUCT:
        if len(datasets) > 1:
            raise click.UsageError(f"the recipe {recipe} takes one data set")
        recipes = chosen(recipe, compare, full=full_schedule, **changes, **_given(rounds=feedback))
        from indexer.paper.training.cascade import train_paper

        one = partial(
            train_paper, datasets[0], bundle=bundle, device=device, limit=limit, work=folder
        )
        _train_paper(one, output, recipes, report)
        return

    from indexer.paper.training.in_bundle import train_in_bundle
    from indexer.training.recipe import Recipe
    from indexer.training.training import pack_first
    from indexer.training.training import train as train_bundle

    # The films of one collection look alike, those of several do not.
    product = Recipe(name=output.resolve().name, strong=len(datasets) > 1)
    product = replace(product, **changes, **_given(feedback=feedback, **settings))
    if pack is not None:
        pack_first(
            datasets,
            pack,
            product,
            work=folder,
            device=device,
            limit=limit,
            start=start,
            teachers=teachers,
        )
        size = pack.stat().st_size / 2**20
        echo(f"{pack}: what the first CNN learns from, {size:.1f} MiB")
        return
    trained = train_bundle(
        datasets,
        output,
        product,
        work=folder,
        device=device,
        limit=limit,
        report=report,
        start=start,
        teachers=teachers,
        second=train_in_bundle,
    )
    echo(f"{trained.path}: bundle {trained.name}, {trained.hash}")
    for failing in trained.record["failings"]:
        echo(f"Warning: {failing}.", err=True)


def _refuse(ctx: click.Context, recipe: str, names: Sequence[str]) -> None:
    """A usage error for an option that the recipe would ignore."""
    for name in names:
        if ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            option = next(p.opts[0] for p in ctx.command.params if p.name == name)
            raise click.UsageError(f"{option} has no meaning for the recipe {recipe}")


def _given(**settings: Any) -> dict[str, Any]:
    """The settings for which an option was given or has a default."""
    return {name: value for name, value in settings.items() if value not in (None, (), "")}


def _train_paper(
    train: Callable[..., PaperModel],
    output: Path,
    recipes: dict[str, PaperRecipe],
    report: Path | None,
) -> None:
    """Train the first of `recipes`, and those that it is compared with."""
    from indexer.learning.report_page import check_report
    from indexer.paper.report import write_report

    if report is not None:
        check_report(report)
    first, *compared = recipes
    records: dict[str, Any] = {}
    maps = {}
    for name, recipe in recipes.items():
        place = output if name == first else output.with_name(f"{output.name}-{name}")
        model = train(place, recipe, maps=report is not None)
        records[name] = model.record
        maps[name] = model.maps
        echo(f"{place}: recipe {name}; on val:")
        for variant, row in model.record["val"]["variants"].items():
            scores = ", ".join(
                f"BLEU-{n} {value:.1f}" for n, value in row["bleu"].items() if value is not None
            )
            echo(
                f"  {variant}: accuracy {row['accuracy']:.1f}, balanced "
                f"{row['balanced_accuracy']:.1f}, {scores}"
            )
    if report is not None:
        others = {name: records[name] for name in compared}
        write_report(report, records[first], others, maps[first])
        echo(f"{report}: report")
