"""What helps words find pictures: a text tower, a picture tower, both, and what takes down pictures
that are near everything. Each is learnt on the train parts of a bundle's frozen search vectors and
judged on the val part of every source.

    python -m benchmarks.towers ../shared/openi ../shared/roco --bundle BUNDLE --work FOLDER

The bundle is one whose towers are not taught, such as the one that shipped on 2026-11-30.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import click
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.record import write_result
from indexer.cascade.bundle import Bundle
from indexer.cascade.text_space import TextSpace
from indexer.training.towers import Told, Towers, choose, read_told, taught

FloatArray: TypeAlias = npt.NDArray[np.float32]
Fit: TypeAlias = Callable[[FloatArray, FloatArray], FloatArray]

#: Share of the way at which what is learnt ends, as a training has it.
_PART = 0.35
#: So many texts that fit a picture best say how near everything it is.
_NEAREST = 100


class _LinearTowers(Towers):
    """The text tower without a bend: of low rank, which is a map of the pictures as well."""

    def moved(self, texts: Tensor) -> Tensor:
        own = texts - torch.from_numpy(self.start.common)
        answer: Tensor = self.output(own @ self.hidden.weight.T)
        return own + answer

    def space(self) -> TextSpace:
        added = (self.way * self.output.weight @ self.hidden.weight).detach().numpy()
        turned = np.eye(len(added), dtype=np.float32) + added
        return replace(
            self.start, weight=turned.T @ self.start.weight, bias=turned.T @ self.start.bias
        )


def _without(part: Literal["output", "added"], towers: Towers) -> Towers:
    """Towers of which a part stays as it starts, which is without any effect."""
    getattr(towers, part).requires_grad_(False)
    return towers


def _by_length(space: TextSpace) -> Fit:
    """Divided by the root of how far a picture's place is from the middle."""
    return lambda texts, vectors: (
        space.likeness(texts, vectors) / np.linalg.norm(space.place(vectors), axis=1) ** 0.5
    )


def _less_nearest(space: TextSpace, banks: Sequence[FloatArray]) -> Fit:
    """Half of the mean of the fits of the texts of a bank that fit a picture best is taken off
    (cross-domain similarity local scaling, Conneau et al., ICLR 2018)."""

    def fit(texts: FloatArray, vectors: FloatArray) -> FloatArray:
        near = [np.sort(space.likeness(b, vectors), 0)[-_NEAREST:].mean(0) for b in banks]
        found: FloatArray = space.likeness(texts, vectors) - 0.5 * np.mean(near, 0)
        return found

    return fit


def _inverted_softmax(space: TextSpace, banks: Sequence[FloatArray], temperature: float) -> Fit:
    """How much of a picture's softmax over a bank of texts a text has (Smith et al., ICLR 2017)."""

    def fit(texts: FloatArray, vectors: FloatArray) -> FloatArray:
        logs = []
        for bank in banks:
            fits = space.likeness(bank, vectors) / temperature
            top = fits.max(0)
            logs.append(temperature * (top + np.log(np.exp(fits - top).mean(0))))
        found: FloatArray = space.likeness(texts, vectors) - np.mean(logs, 0)
        return found

    return fit


def _scores(val: Sequence[Told], fit: Fit) -> dict[str, dict[str, float]]:
    """Median rank share, R@1 and R@10 of each source and kind of text."""
    found = {}
    for told in val:
        ranks = told.ranks(fit)
        found[f"{told.source}: {told.kind}"] = {
            "median_rank_share": round(float(np.median(ranks)) / len(told.examples), 4),
            **{f"r_at_{k}": round(float(np.mean(ranks <= k)), 4) for k in (1, 10)},
        }
    return found


@click.command()
@click.argument("datasets", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--bundle", type=click.Path(path_type=Path), required=True, help="Its towers are not taught."
)
@click.option("--work", type=click.Path(path_type=Path), required=True, help="For pictures.")
@click.option("--seed", default=0, show_default=True)
def main(datasets: tuple[Path, ...], bundle: Path, work: Path, seed: int) -> None:
    """Print and keep a row for each way."""
    loaded = Bundle.load(bundle)
    plain = TextSpace.of(loaded)
    if plain.text_map is not None:
        raise click.UsageError(f"the towers of {loaded.path} are taught already")
    told = read_told(loaded, datasets, work)
    train, val = told["train"], told["val"]
    bare = replace(plain, common=np.zeros_like(plain.common))
    rows: dict[str, Any] = {}

    def keep(name: str, fit: Fit) -> None:
        rows[name] = _scores(val, fit)
        click.echo(f"{name}: {rows[name]}")

    def learn(name: str, towers: Towers) -> TextSpace:
        spaces = [*taught(towers, train, seed)]
        chosen = choose(spaces, towers.start, val)
        none = ": no epoch harms none" if chosen is towers.start else ""
        keep(f"{name}{none}", chosen.likeness)
        best = choose(spaces, towers.start, val, harmless=False)
        keep(f"{name}, whatever it harms", best.likeness)
        return chosen

    keep("no towers", plain.likeness)
    keep("no towers, without what texts share", bare.likeness)
    space = learn("both towers", Towers(plain, seed, _PART))
    learn("both towers, all the way", Towers(plain, seed))
    learn("text tower", _without("added", Towers(plain, seed, _PART)))
    learn("text tower, all the way", _without("added", Towers(plain, seed)))
    learn("text tower, linear", _without("added", _LinearTowers(plain, seed, _PART)))
    learn("picture tower", _without("output", Towers(plain, seed, _PART)))
    learn("picture tower, all the way", _without("output", Towers(plain, seed)))
    learn("both towers, without what texts share", Towers(bare, seed, _PART))
    banks = [t.texts for t in train]
    spread = float(np.mean([space.likeness(t.texts, t.vectors).std() for t in train]))
    keep("both towers, divided by the root of length", _by_length(space))
    keep(f"both towers, less half of the {_NEAREST} nearest of a bank", _less_nearest(space, banks))
    for times in (1, 3):
        fit = _inverted_softmax(space, banks, times * spread)
        keep(f"both towers, inverted softmax over a bank, temperature {times}", fit)
    write_result(
        "towers",
        {
            "command": "python -m benchmarks.towers OPENI ROCO --bundle BUNDLE --work FOLDER",
            "bundle": loaded.hash,
            "seed": seed,
            "pictures": {f"{t.source}: {t.kind}": len(t.examples) for t in val},
            "rows": rows,
        },
    )


if __name__ == "__main__":
    main()
