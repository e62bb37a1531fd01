"""Fitting what tells chest films from anything else (see `interpretation.unusual`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.interpretation.certainty import UNUSUAL
from indexer.cascade.interpretation.unusual import PREFIX, UnusualScore, block_statistics
from indexer.cascade.reading import Predictor
from indexer.training.model_card import write_model_card
from indexer.training.recipe import Recipe
from indexer.training.sources import PARTS, Sources

__all__ = [
    "FilmStatistics",
    "fit_score",
    "fit_unusual",
    "learn_unusual",
    "marked_shares",
    "refit",
    "spoilt",
]

Canvases = npt.NDArray[np.uint8]
_FloatArray = npt.NDArray[np.float32]

_HIDDEN, _DROPOUT = 64, 0.2
# How many main directions of films there are, and the spread below which one counts as none.
_DIRECTIONS, _MIN_SPREAD = 100, 0.1
_STEPS, _BATCH, _RATE, _DECAY = 500, 256, 2e-3, 0.3
# Label smoothing, since a film may be odd and a spoilt one may look normal.
_SMOOTHING = 0.05
# At most this share of val films is called unusual; each of the two parts may call half of it.
_SHARE = 0.01
_CHUNK = 256
# At most this many films of a source are learned from, and this many are spoilt in each way.
_FILMS, _SPOILT = 2000, 300
# This many val films of a source are spoilt in each way to judge the score.
_JUDGED = 50


@dataclass(frozen=True, slots=True)
class FilmStatistics:
    """Pictures of one source or kind as the score sees them.

    Parameters
    ----------
    statistics
        Shape (n, 514), of `indexer.cascade.interpretation.unusual.block_statistics`.
    vectors
        Shape (n, dimensions): their search vectors.
    """

    statistics: _FloatArray
    vectors: _FloatArray

    @classmethod
    def of(cls, canvases: Canvases, embed: Callable[[Canvases], _FloatArray]) -> FilmStatistics:
        """Of canvases of shape (n, size, size)."""
        chunks = [canvases[start : start + _CHUNK] for start in range(0, len(canvases), _CHUNK)]
        statistics = np.concatenate([block_statistics(chunk) for chunk in chunks])
        return cls(statistics, np.concatenate([embed(chunk) for chunk in chunks]))

    @property
    def inputs(self) -> _FloatArray:
        """Both side by side."""
        found: _FloatArray = np.concatenate([self.statistics, self.vectors], 1)
        return found


def refit(
    bundle: Bundle, datasets: Sequence[Path], output: Path, *, work: Path, device: str = "auto"
) -> Bundle:
    """The same bundle, but that what is unusual is learnt anew.

    Parameters
    ----------
    datasets
        What it learnt from: films of their parts `train` are learnt from, those of `val` of which
        anything is known give the operating point.
    output
        Folder of the new bundle.
    work
        Holds decoded pictures.

    Raises
    ------
    TrainingError
        A data set is unusable.
    """
    # Findings are not learnt here, so none is too rare.
    recipe = Recipe(size=bundle.size, squash=bundle.squash, borders=bundle.borders, min_images=1)
    sources = Sources.load(datasets, recipe, work, unlabelled=True)
    films = {part: sources.canvases_by_source(part) for part in PARTS}
    score, shares = learn_unusual(bundle, films, device, recipe.seed)
    weights = {n: array for n, array in bundle.weights().items() if not n.startswith(PREFIX)}
    fresh = Bundle.save(
        output,
        replace(
            bundle, record={**bundle.record, "unusual": shares, "unusual_refitted_of": bundle.hash}
        ),
        weights | score.tensors(),
    )
    write_model_card(fresh, sources.descriptions)
    return fresh


def learn_unusual(
    bundle: Bundle, films: Mapping[str, Mapping[str, Canvases]], device: str, seed: int
) -> tuple[UnusualScore, dict[str, float]]:
    """What tells films from anything else by the search vectors of a bundle, and `marked_shares`.

    Parameters
    ----------
    films
        For each of the parts ``train`` and ``val`` the canvases of each source by its name.
    """
    runtime = Predictor(bundle, Compute(device=device))

    def embed(canvases: Canvases) -> _FloatArray:
        step = runtime.batch_size
        starts = range(0, len(canvases), step)
        return np.concatenate([runtime.encode(canvases[s : s + step]).embedding for s in starts])

    train, val = [*films["train"].values()], [*films["val"].values()]
    score = fit_unusual(train, val, embed, seed)
    return score, marked_shares(score, films["val"], embed, seed)


def fit_unusual(
    train: Sequence[Canvases],
    val: Sequence[Canvases],
    embed: Callable[[Canvases], _FloatArray],
    seed: int = 0,
) -> UnusualScore:
    """Learn what films look like, and where they end.

    Parameters
    ----------
    train, val
        Canvases of each source, shape (n, size, size).
    embed
        Gives the search vectors of at most 256 canvases.
    """
    rng = np.random.default_rng(seed)
    films = [FilmStatistics.of(_some(source, _FILMS, rng), embed) for source in train]
    other = [
        FilmStatistics.of(spoil(_some(source, _SPOILT, rng), rng), embed)
        for source in train
        for spoil in spoilt()
    ]
    return fit_score(films, other, [FilmStatistics.of(source, embed) for source in val], seed)


def marked_shares(
    score: UnusualScore,
    val: Mapping[str, Canvases],
    embed: Callable[[Canvases], _FloatArray],
    seed: int = 0,
) -> dict[str, float]:
    """Share of the films of each source that is called unusual, and of films spoilt in each way.

    Parameters
    ----------
    val
        Canvases of each source, shape (n, size, size), that nothing was fitted to.
    embed
        As in `fit_unusual`.
    """
    rng = np.random.default_rng(seed)
    some = np.concatenate([_some(films, _JUDGED, rng) for films in val.values()])
    groups = {**val, **{spoil.__name__.lstrip("_"): spoil(some, rng) for spoil in spoilt()}}
    shares = {}
    for name, films in groups.items():
        chunks = [films[start : start + _CHUNK] for start in range(0, len(films), _CHUNK)]
        marked = np.concatenate([score(chunk, embed(chunk)) > UNUSUAL for chunk in chunks])
        shares[name] = round(float(marked.mean()), 4)
    return shares


def fit_score(
    films: Sequence[FilmStatistics],
    other: Sequence[FilmStatistics],
    val: Sequence[FilmStatistics],
    seed: int = 0,
) -> UnusualScore:
    """The score that tells `films` from `other`, each source and kind counting alike.

    The operating point leaves at most 1 % of the `val` films of each source over it.
    """
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    most = max(len(source.statistics) for source in films)
    even = np.concatenate([f.inputs[rng.integers(len(f.inputs), size=most)] for f in films])
    centre, scale = even.mean(0), even.std(0) + 1e-3
    scale[: films[0].statistics.shape[1]] += 1e-2
    good, bad = ([(f.inputs - centre) / scale for f in group] for group in (films, other))
    blocks = ((even - centre) / scale)[:, : films[0].statistics.shape[1]]
    first, last = _teach(good, bad)
    score = UnusualScore(
        centre=centre.astype(np.float32),
        scale=scale.astype(np.float32),
        basis=_main_directions(blocks),
        hidden=np.ascontiguousarray(first.weight.detach().numpy().T),
        hidden_bias=first.bias.detach().numpy(),
        output=last.weight.detach().numpy()[0].copy(),
        output_bias=np.asarray(last.bias.detach().numpy()[0]),
        limits=np.array([[0, 1], [0, 1]], np.float32),
    )
    parts = [score.parts(source.statistics, source.vectors) for source in val]
    median = np.median(np.concatenate(parts), axis=0)
    limit = [np.quantile(own, 1 - _SHARE / 2, axis=0, method="higher") for own in parts]
    ends = np.stack([median, np.max(limit, 0)], 1)
    # Half precision, in which bundles are stored, must not bring films over the limit.
    ends[:, 1] += 1e-2 * (ends[:, 1] - ends[:, 0])
    score.limits[:] = ends
    return score


def _main_directions(blocks: npt.NDArray[np.floating]) -> _FloatArray:
    """The main directions of centred films, each as long as leaves over a part of it that is as
    usual as the rest: with all of them, what is left over is Mahalanobis's distance."""
    spreads, directions = np.linalg.eigh(blocks.T @ blocks / len(blocks))
    spreads, directions = spreads[-_DIRECTIONS:], directions[:, -_DIRECTIONS:]
    lengths = np.sqrt(spreads.clip(0) / (spreads.clip(0) + _MIN_SPREAD))
    return np.ascontiguousarray((directions * lengths).T, np.float32)


def _some(canvases: Canvases, most: int, rng: np.random.Generator) -> Canvases:
    rows = np.sort(rng.permutation(len(canvases))[:most])
    return canvases[rows]


def _teach(
    good: Sequence[npt.NDArray[np.floating]], bad: Sequence[npt.NDArray[np.floating]]
) -> tuple[nn.Linear, nn.Linear]:
    """Both layers of a network that answers above 0 to `bad`."""
    films, other = ([torch.from_numpy(part).float() for part in group] for group in (good, bad))
    first, last = nn.Linear(films[0].shape[1], _HIDDEN), nn.Linear(_HIDDEN, 1)
    network = nn.Sequential(nn.Dropout(_DROPOUT), first, nn.ReLU(), last)
    optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=_DECAY)
    for _ in range(_STEPS):
        rows = [_draw(films), _draw(other)]
        answer = network(torch.cat(rows)).squeeze(1)
        goal = torch.cat([torch.zeros(len(rows[0])), torch.ones(len(rows[1]))])
        goal = goal * (1 - 2 * _SMOOTHING) + _SMOOTHING
        loss = nn.functional.binary_cross_entropy_with_logits(answer, goal)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return first, last


def _draw(groups: Sequence[torch.Tensor]) -> torch.Tensor:
    """Half a batch, of each group as much."""
    each = max(1, _BATCH // 2 // len(groups))
    return torch.cat([group[torch.randint(len(group), (each,))] for group in groups])


def spoilt() -> list[Callable[[Canvases, np.random.Generator], Canvases]]:
    """What makes of films pictures that are none."""
    return [_inverted, _upside_down, _half_turn, _quarter_turn, _detail, _jumbled, _noise]


def _inverted(films: Canvases, rng: np.random.Generator) -> Canvases:
    return 255 - films


def _upside_down(films: Canvases, rng: np.random.Generator) -> Canvases:
    return films[:, ::-1]


def _half_turn(films: Canvases, rng: np.random.Generator) -> Canvases:
    return films[:, ::-1, ::-1]


def _quarter_turn(films: Canvases, rng: np.random.Generator) -> Canvases:
    turned = np.rot90(films, axes=(1, 2)).copy()
    other = rng.random(len(films)) < 0.5
    turned[other] = turned[other][:, ::-1, ::-1]
    return turned


def _detail(films: Canvases, rng: np.random.Generator) -> Canvases:
    """A small part, enlarged three times or more."""
    size = films.shape[1]
    found = np.empty_like(films)
    for own, film in zip(found, films, strict=True):
        side = int(rng.integers(size // 6, size // 3))
        top, left = rng.integers(size - side, size=2)
        where = np.arange(size) * side // size
        own[:] = film[top + where][:, left + where]
    return found


def _jumbled(films: Canvases, rng: np.random.Generator) -> Canvases:
    """Sixteen parts in another order, as of a picture whose tiles were decoded wrongly."""
    n, size = len(films), films.shape[1] // 4
    parts = films[:, : 4 * size, : 4 * size].reshape(n, 4, size, 4, size).swapaxes(2, 3)
    parts = parts.reshape(n, 16, size, size)
    order = rng.permuted(np.tile(np.arange(16), (n, 1)), axis=1)
    mixed = np.take_along_axis(parts, order[:, :, None, None], 1)
    found = mixed.reshape(n, 4, 4, size, size).swapaxes(2, 3).reshape(n, 4 * size, 4 * size)
    return np.ascontiguousarray(found)


def _noise(films: Canvases, rng: np.random.Generator) -> Canvases:
    """Grain of any size and strength around any grey, down to none at all."""
    size = films.shape[1]
    found = np.empty_like(films)
    for own in found:
        grains = int(rng.choice([2, 4, 8, 16, 32, 64, size]))
        where = np.arange(size) * grains // size
        coarse = rng.normal(rng.uniform(0, 255), rng.uniform(0, 90), (grains, grains))
        fine = rng.normal(0, rng.uniform(0, 30), (size, size))
        own[:] = (coarse[where][:, where] + fine).clip(0, 255)
    return found
