"""Fitting what tells chest films from anything else (see `indexer.cascade.unusual`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from indexer.cascade.unusual import UnusualScore, block_statistics

__all__ = ["fit_unusual", "spoilt"]

Canvases = npt.NDArray[np.uint8]

_DIRECTIONS, _HIDDEN = 20, 64
_STEPS, _BATCH = 1500, 256
# Each of the two parts may call half of this share of val films unusual.
_SHARE = 0.01
_CHUNK = 512


def fit_unusual(train: Sequence[Canvases], val: Sequence[Canvases], seed: int = 0) -> UnusualScore:
    """Learn what films look like, and where they end.

    Each source counts alike. The operating point leaves at most 1 % of all val films over it.

    Parameters
    ----------
    train, val
        Canvases of each source, shape (n, size, size).
    """
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    most = max(map(len, train))
    films = [_statistics(source) for source in train]
    even = np.concatenate([f[rng.integers(len(f), size=most)] for f in films])
    centre, scale = even.mean(0), even.std(0) + 1e-2
    inputs = (even - centre) / scale
    _, directions = np.linalg.eigh(inputs.T @ inputs)
    network = _teach(films, train, centre, scale, rng)
    first, last = network[0], network[2]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    score = UnusualScore(
        centre=centre.astype(np.float32),
        scale=scale.astype(np.float32),
        basis=np.ascontiguousarray(directions[:, -_DIRECTIONS:].T, np.float32),
        hidden=np.ascontiguousarray(first.weight.detach().numpy().T),
        hidden_bias=first.bias.detach().numpy(),
        output=last.weight.detach().numpy()[0].copy(),
        output_bias=last.bias.detach().numpy()[0].reshape(()),
        limits=np.array([[0, 1], [0, 1]], np.float32),
    )
    parts = np.concatenate([score.parts(source) for source in val])
    ends = np.quantile(parts, [0.5, 1 - _SHARE / 2], axis=0, method="higher").T
    # Half precision, in which bundles are stored, must not bring films over the limit.
    ends[:, 1] += 1e-2 * (ends[:, 1] - ends[:, 0])
    score.limits[:] = ends
    return score


def _teach(
    films: Sequence[npt.NDArray[np.float32]],
    canvases: Sequence[Canvases],
    centre: npt.NDArray[np.float32],
    scale: npt.NDArray[np.float32],
    rng: np.random.Generator,
) -> nn.Sequential:
    """A network of one hidden layer: films against what `spoilt` makes of them."""
    bad = [_statistics(spoil(source, rng)) for source in canvases for spoil in spoilt()]
    good, other = (
        [torch.from_numpy((f - centre) / scale).float() for f in group] for group in (films, bad)
    )
    network = nn.Sequential(nn.Linear(len(centre), _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, 1))
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=_STEPS)
    for _ in range(_STEPS):
        rows = [_draw(good), _draw(other)]
        answer = network(torch.cat(rows)).squeeze(1)
        goal = torch.cat([torch.zeros(len(rows[0])), torch.ones(len(rows[1]))])
        loss = nn.functional.binary_cross_entropy_with_logits(answer, goal)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def _draw(groups: Sequence[torch.Tensor]) -> torch.Tensor:
    """Half a batch, of each group as much."""
    each = max(1, _BATCH // 2 // len(groups))
    return torch.cat([g[torch.randint(len(g), (each,))] for g in groups])


def _statistics(canvases: Canvases) -> npt.NDArray[np.float32]:
    chunks = [canvases[start : start + _CHUNK] for start in range(0, len(canvases), _CHUNK)]
    return np.concatenate([block_statistics(chunk) for chunk in chunks])


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
