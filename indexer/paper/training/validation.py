"""How a network in training is judged on val."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

import numpy as np

from indexer.errors import TrainingError
from indexer.learning.epochs import EpochScores
from indexer.paper.scores import ORDERS, bleu

__all__ = ["checked", "preference"]

log = logging.getLogger(__name__)


def checked(
    losses: Sequence[float], scores: Mapping[str, float], number: int, started: float
) -> EpochScores:
    """What an epoch scored, rounded.

    Parameters
    ----------
    losses
        Of its steps.
    scores
        On val, ``val_loss`` among them.
    number, started
        Of the epoch, from 0 on, and when it began.

    Raises
    ------
    TrainingError
        The loss on val is not finite.
    """
    row = {"loss": round(float(np.mean(losses)), 4)}
    row |= {name: round(value, 4) for name, value in scores.items()}
    if not np.isfinite(row["val_loss"]):
        raise TrainingError(f"the loss is {row['val_loss']} after epoch {number + 1}")
    log.info("epoch %d: %s %.0f s", number + 1, row, time.time() - started)
    return row


def preference(references: list[tuple[str, ...]], written: list[tuple[str, ...]]) -> float:
    """What val chooses by: balanced accuracy plus the mean of BLEU-1 to BLEU-4."""
    true = np.array([words[0] for words in references])
    right = np.array([words[0] for words in written]) == true
    balanced = 100 * float(np.mean([right[true == c].mean() for c in np.unique(true)]))
    return balanced + float(np.mean([bleu(references, written, n) or 0.0 for n in ORDERS]))
