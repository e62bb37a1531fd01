"""The loop over epochs that every training runs: history, the best epoch, checkpoints."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

__all__ = ["Checkpoint", "Criterion", "EpochScores", "run_epochs"]

#: Scores of an epoch, by name.
EpochScores: TypeAlias = dict[str, Any]

log = logging.getLogger(__name__)

_Weights = dict[str, torch.Tensor]
# Digits to which scores are compared.
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Criterion:
    """By what the best epoch is chosen.

    Parameters
    ----------
    score
        Which of a row's numbers counts.
    largest
        Whether the largest is the best, or the least.
    tolerance
        A later epoch is preferred that is worse by no more than this.
    patience
        After so many epochs without a better score the training ends; None to go on.
    """

    score: str
    largest: bool = False
    tolerance: float = 0.0
    patience: int | None = None

    def best(self, history: Sequence[EpochScores]) -> int:
        """The index of the best row; of the last one where no row has a score. -1 of none."""
        found, lead = len(history) - 1, math.inf
        scored = False
        for index, loss in enumerate(self._losses(history)):
            if math.isnan(loss):
                continue
            better, lead = loss < lead, min(lead, round(loss, _DIGITS))
            if better or not scored or (self.tolerance and loss <= lead + self.tolerance):
                found, scored = index, True
        return found

    def is_over(self, history: Sequence[EpochScores]) -> bool:
        """Whether patience has run out."""
        if self.patience is None or not history or self.best(history) == len(history) - 1:
            return False
        losses = [round(loss, _DIGITS) for loss in self._losses(history)]
        least = min(range(len(losses)), key=lambda index: losses[index])
        return len(history) - 1 - least >= self.patience

    def _losses(self, history: Sequence[EpochScores]) -> list[float]:
        sign = -1.0 if self.largest else 1.0
        return [sign * row[self.score] for row in history]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A file from which an interrupted training goes on.

    Parameters
    ----------
    path
        Written anew after each epoch.
    parts
        What changes in training, by name: each has `state_dict` and `load_state_dict`.
    device
        Where its tensors are loaded to.
    """

    path: Path
    parts: Mapping[str, Any]
    device: torch.device

    def load(self) -> tuple[list[EpochScores], _Weights]:
        """Put all parts into the state of the last epoch; the history, and the best weights."""
        saved = torch.load(self.path, map_location=self.device, weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(saved[name])
        return saved["history"], saved["best"]

    def save(self, history: Sequence[EpochScores], best: _Weights) -> None:
        """Write it; a write that is broken off leaves the one of the epoch before."""
        state = {name: part.state_dict() for name, part in self.parts.items()}
        fresh = self.path.with_suffix(".new")
        torch.save({**state, "history": history, "best": best}, fresh)
        fresh.replace(self.path)


def run_epochs(
    network: nn.Module,
    epoch: Callable[[int], EpochScores],
    count: int,
    criterion: Criterion,
    checkpoint: Checkpoint | None = None,
) -> list[EpochScores]:
    """Run epochs, and leave a network in evaluation mode with the weights of the best one.

    Parameters
    ----------
    network
        Whose weights are kept: the one that is trained, or an average of it. Without an epoch it
        stays as it is.
    epoch
        Trains and judges epoch number 0, 1, ...; it draws by that number alone, where a training
        that goes on is to end like an unbroken one.
    count
        Most epochs.

    Returns
    -------
    list
        What each epoch scored, with its number, from 1 on, as ``epoch``.
    """
    history: list[EpochScores] = []
    best = _copy(network)
    if checkpoint is not None and checkpoint.path.exists():
        history, best = checkpoint.load()
        log.info("going on after epoch %d of %d", len(history), count)
    while len(history) < count and not criterion.is_over(history):
        history.append({"epoch": len(history) + 1, **epoch(len(history))})
        if criterion.best(history) == len(history) - 1:
            best = _copy(network)
        if checkpoint is not None:
            checkpoint.save(history, best)
    network.load_state_dict(best)
    network.eval()
    return history


def _copy(network: nn.Module) -> _Weights:
    return {name: value.clone() for name, value in network.state_dict().items()}
