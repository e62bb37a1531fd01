"""Recipes: all that decides how a cascade of the paper comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from indexer.errors import RecipeError, TrainingError

__all__ = ["FROZEN", "RECIPES", "Cell", "PaperRecipe", "chosen", "named"]

# Name of the backbone that reads the embedding of a bundle instead of the picture.
FROZEN = "frozen"

Cell = Literal["gru", "lstm"]
# RMSprop (released code of Shin et al.).
_RATES: dict[Cell, float] = {"gru": 1e-4, "lstm": 2e-3}
_FULL_EPOCHS = 100


@dataclass(frozen=True, slots=True)
class PaperRecipe:
    """A cascade after Shin et al. (CVPR 2016), with the paper's numbers as defaults.

    Parameters
    ----------
    backbone
        A name for `networks.backbones.build_backbone`; or ``"frozen"``: the embedding of a
        product bundle with one hidden layer of `features` over it.
    cells
        Kinds of RNN; each has rounds of its own.
    rounds
        Rounds of feedback after round 0.
    data_dropout
        Balance every epoch (see `indexer.paper.training.sampling`).
    joint
        Composite labels from joint image/text vectors; without it from image embeddings alone.
    images_per_label, deviations
        How groups are split (see `indexer.learning.composite_labels.cluster`).
    clusters
        Composite labels of each large disease group, the `k` of `cluster`; None for the paper's
        rule, one for every `images_per_label` images.
    epochs, batch_size, learning_rate, weight_decay
        Of the CNN: SGD with momentum 0.9, the rate divided by 3 after each third.
    features, dropout
        Units over a frozen embedding, and dropout of that embedding: the encoder knows its train
        images by heart, so a network on them overfits at once.
    per_label
        Most images of one label in an epoch; None for the paper's epoch.
    size, crop
        Side of the canvas and of the crop, in pixels.
    units, layers, project, steps
        Of the RNN; `project` puts a learned layer between embedding and state.
    writer_epochs, writer_rate, writer_batch
        Of the RNN: RMSprop, gradients clipped at 5; the paper's rate of the cell where None.
    writer_decay
        Its weight decay.
    wide
        The RNN also learns the classes' annotations of train images with several findings.
    patience
        Epochs without a better val loss after which a network stops; None to go on to the end.
        The epoch of the least val loss is kept either way.
    seed
        Of every random draw.
    """

    name: str = "paper-gru"
    backbone: str = "nin_bn"
    cells: tuple[Cell, ...] = ("gru",)
    rounds: int = 1
    data_dropout: bool = True
    joint: bool = True
    images_per_label: int = 50
    deviations: float = 1.0
    clusters: int | None = None
    epochs: int = _FULL_EPOCHS
    batch_size: int = 32
    learning_rate: float = 0.03
    weight_decay: float = 5e-4
    per_label: int | None = None
    features: int = 1024
    dropout: float = 0.6
    size: int = 256
    crop: int = 224
    units: int = 1024
    layers: int = 1
    project: bool = False
    steps: int = 5
    writer_epochs: int = 60
    writer_rate: float | None = None
    writer_batch: int = 64
    writer_decay: float = 0.0
    wide: bool = False
    patience: int | None = 30
    seed: int = 0

    @property
    def frozen(self) -> bool:
        """Does it read embeddings in place of pictures?"""
        return self.backbone == FROZEN

    def learning_rate_for(self, cell: Cell) -> float:
        """Learning rate of the RNN."""
        return self.writer_rate if self.writer_rate is not None else _RATES[cell]

    def full(self) -> PaperRecipe:
        """The paper's schedule, for a GPU: 100 epochs, none of them shortened or left out."""
        return replace(self, epochs=_FULL_EPOCHS, per_label=None, patience=None)


# Two CPU cores train about 40 images/s of the network in network, 20 of GoogLeNet.
_SHORT = PaperRecipe(epochs=9, per_label=120, patience=9)
_LONG = PaperRecipe(backbone="googlenet_bn", epochs=6, per_label=100, patience=6)
_FROZEN = PaperRecipe(
    backbone=FROZEN,
    epochs=8,
    learning_rate=0.003,
    weight_decay=5e-3,
    features=192,
    units=192,
    project=True,
    # The paper's 1e-4 of the GRU would need hundreds of epochs on so few words.
    writer_epochs=16,
    writer_rate=1e-3,
    writer_batch=128,
    writer_decay=1e-4,
    patience=5,
    wide=True,
    images_per_label=25,
    deviations=-1.0,
)

RECIPES: dict[str, PaperRecipe] = {
    recipe.name: recipe
    for recipe in (
        replace(_SHORT, name="paper-gru"),
        replace(_SHORT, name="paper-lstm", cells=("lstm",)),
        replace(_LONG, name="paper-gru-googlenet"),
        replace(_LONG, name="paper-lstm-googlenet", cells=("lstm",)),
        replace(_SHORT, name="paper-gru-no-data-dropout", data_dropout=False),
        replace(_SHORT, name="paper-gru-no-joint", joint=False),
        replace(_SHORT, name="paper-gru-no-feedback", rounds=0),
        replace(_FROZEN, name="bundle", cells=("gru", "lstm")),
        replace(_FROZEN, name="bundle-gru"),
        replace(_FROZEN, name="bundle-lstm", cells=("lstm",)),
        replace(_FROZEN, name="bundle-gru-no-data-dropout", data_dropout=False),
        replace(_FROZEN, name="bundle-gru-no-joint", joint=False),
        replace(_FROZEN, name="bundle-gru-no-feedback", rounds=0),
    )
}


def named(name: str) -> PaperRecipe:
    """The recipe of this name.

    Raises
    ------
    TrainingError
        There is none.
    """
    if name not in RECIPES:
        raise TrainingError(f"no recipe is named {name!r}: there are {', '.join(RECIPES)}")
    return RECIPES[name]


def chosen(
    name: str, compared: Sequence[str] = (), *, full: bool = False, **settings: Any
) -> dict[str, PaperRecipe]:
    """A recipe and those that it is compared with, by name, with settings of one's own.

    Parameters
    ----------
    full
        With the paper's schedule.
    settings
        Fields of `PaperRecipe`; what is compared and has no rounds gets none.

    Raises
    ------
    TrainingError
        There is no such recipe.
    RecipeError
        A setting has no meaning for the recipe `name`.
    """
    if settings.get("epochs") == 0:
        raise RecipeError(f"`epochs` 0 has no meaning for the recipe {name}")
    if settings.get("rounds") and not named(name).rounds:
        raise RecipeError(f"`rounds` has no meaning for the recipe {name}")
    found = {}
    for each in (name, *compared):
        recipe = named(each).full() if full else named(each)
        own = {k: value for k, value in settings.items() if k != "rounds" or recipe.rounds}
        found[each] = replace(recipe, **own)
    return found
