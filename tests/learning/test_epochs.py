from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from indexer.learning.epochs import Checkpoint, Criterion, EpochScores, run_epochs

LOSS = Criterion("loss")
AREA = Criterion("area", largest=True)


def rows(name: str, *scores: float) -> list[EpochScores]:
    return [{name: score} for score in scores]


@pytest.mark.parametrize(
    ("criterion", "scores", "best"),
    [
        (LOSS, (), -1),
        (LOSS, (3, 1, 2), 1),
        (LOSS, (1, 1), 0),
        (AREA, (0.5, 0.7, 0.7, 0.6), 1),
        (AREA, (math.nan, 0.2, math.nan), 1),
        (AREA, (math.nan, math.nan), 1),
        (Criterion("loss", tolerance=0.01), (1, 1.005, 1.02), 1),
        (Criterion("loss", tolerance=0.01), (1, 1.009, 1.018), 1),
    ],
)
def test_the_best_epoch(criterion: Criterion, scores: tuple[float, ...], best: int) -> None:
    assert criterion.best(rows(criterion.score, *scores)) == best


@pytest.mark.parametrize(
    ("patience", "tolerance", "scores", "over"),
    [
        (2, 0, (), False),
        (2, 0, (1, 2), False),
        (2, 0, (1, 2, 2), True),
        (2, 0, (2, 2, 1), False),
        (2, 0.1, (1, 2, 1.05), False),
        (2, 0.1, (1, 1.05, 1.2), True),
        (None, 0, (1, *[2] * 50), False),
    ],
)
def test_patience(
    patience: int | None, tolerance: float, scores: tuple[float, ...], over: bool
) -> None:
    criterion = Criterion("loss", tolerance=tolerance, patience=patience)
    assert criterion.is_over(rows("loss", *scores)) is over


class _Training:
    """A weight that random draws move; an epoch's score is given."""

    def __init__(self, path: Path, scores: tuple[float, ...], breaks: int | None = None) -> None:
        self.network = nn.Linear(1, 1)
        for part in self.network.parameters():
            nn.init.zeros_(part)
        self.optimizer = torch.optim.Adam(self.network.parameters(), 0.1)
        self.scores, self.breaks = scores, breaks
        self.weights: list[float] = []
        parts: dict[str, Any] = {"network": self.network, "optimizer": self.optimizer}
        self.checkpoint = Checkpoint(path, parts, torch.device("cpu"))

    def epoch(self, number: int) -> EpochScores:
        if number == self.breaks:
            raise KeyboardInterrupt
        draw = torch.Generator().manual_seed(number)
        loss = self.network(torch.randn(8, 1, generator=draw)).sum()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.weights.append(self.network.weight.item())
        return {"loss": self.scores[number]}

    def run(self) -> list[EpochScores]:
        return run_epochs(self.network, self.epoch, len(self.scores), LOSS, self.checkpoint)


@pytest.mark.parametrize("best", range(4))
def test_the_weights_of_the_best_epoch_are_kept(tmp_path: Path, best: int) -> None:
    training = _Training(tmp_path / "a.pt", tuple(float(n != best) for n in range(4)))
    assert [row["epoch"] for row in training.run()] == [1, 2, 3, 4]
    assert training.network.weight.item() == training.weights[best]
    assert not training.network.training


@pytest.mark.parametrize("breaks", range(4))
def test_a_broken_training_ends_like_an_unbroken_one(tmp_path: Path, breaks: int) -> None:
    scores = (3.0, 1.0, 2.0, 4.0)
    whole = _Training(tmp_path / "whole.pt", scores)
    history = whole.run()
    with pytest.raises(KeyboardInterrupt):
        _Training(tmp_path / "broken.pt", scores, breaks).run()
    broken = _Training(tmp_path / "broken.pt", scores)
    assert broken.run() == history
    assert len(broken.weights) == 4 - breaks
    assert broken.network.weight.item() == whole.network.weight.item()
    ends = [torch.load(tmp_path / f"{name}.pt") for name in ("whole", "broken")]
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=0)


def test_a_finished_training_is_not_run_again(tmp_path: Path) -> None:
    first, second = (_Training(tmp_path / "a.pt", (2.0, 1.0)) for _ in range(2))
    assert first.run() == second.run()
    assert second.weights == []
    assert second.network.weight.item() == first.network.weight.item()


def test_without_an_epoch_nothing_changes(tmp_path: Path) -> None:
    training = _Training(tmp_path / "a.pt", ())
    assert training.run() == []
    assert training.network.weight.item() == 0
    assert not training.checkpoint.path.exists()
