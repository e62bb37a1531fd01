"""The operating point: how the calibrated scores of a bundle do the paper's task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from indexer.annotation import NORMAL
from indexer.paper.classes import CLASSES
from indexer.paper.model import PaperModel
from indexer.paper.scores import ORDERS, bleu

__all__ = ["OperatingPoint", "choose_point"]

# Limits that are tried: quantiles of the chances of the val images.
_POINTS = 41

_Words = tuple[str, ...]
_Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """How the product's own reading does the paper's task.

    Parameters
    ----------
    variant
        Whose RNN writes the words after the class.
    limit
        The chance of ``normal`` from which on an image is called so; below it has the likeliest of
        the other classes.
    curve
        What every limit that was tried scores on val: ``limit`` and ``bleu`` by order.
    """

    variant: str
    limit: float
    curve: Sequence[Mapping[str, Any]] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)

    def predict(
        self, model: PaperModel, findings: Sequence[str], chances: _Floats, inputs: _Floats
    ) -> list[_Words]:
        """The words of images.

        Parameters
        ----------
        findings, chances
            Names, and their calibrated chances of shape (n, findings).
        inputs
            Shape (n, dimensions): search vectors.
        """
        normal, ill = _either(model, self.variant, findings, chances, inputs)
        called = _chance_of_normal(findings, chances) >= self.limit
        return [one if yes else other for one, other, yes in zip(normal, ill, called, strict=True)]


def choose_point(
    model: PaperModel,
    findings: Sequence[str],
    chances: _Floats,
    inputs: _Floats,
    references: Sequence[_Words],
) -> OperatingPoint | None:
    """The operating point with the best sum of BLEU-1 to BLEU-4; None where the bundle does not
    score ``normal`` and another class.

    Parameters
    ----------
    references
        The true words of each image; the others as of `OperatingPoint.predict`.
    """
    if NORMAL not in findings or not set(findings) & (set(CLASSES) - {NORMAL}):
        return None
    chance = _chance_of_normal(findings, chances)
    limits = np.unique(np.quantile(chance, np.linspace(0, 1, _POINTS)).round(4))
    best: tuple[float, OperatingPoint] | None = None
    for name in model.variants:
        normal, ill = _either(model, name, findings, chances, inputs)
        curve = []
        for limit in [*limits.tolist(), 1.0001]:
            written = [
                one if yes else other
                for one, other, yes in zip(normal, ill, chance >= limit, strict=True)
            ]
            scores = {str(n): round(bleu(references, written, n) or 0.0, 1) for n in ORDERS}
            right = [words[0] == truth[0] for words, truth in zip(written, references, strict=True)]
            accuracy = round(100 * float(np.mean(right)), 1)
            curve.append({"limit": limit, "accuracy": accuracy, "bleu": scores})
        top = max(curve, key=lambda row: sum(row["bleu"].values()))
        worth = sum(top["bleu"].values())
        if best is None or worth > best[0]:
            best = worth, OperatingPoint(name, top["limit"], tuple(curve))
    return None if best is None else best[1]


def _chance_of_normal(findings: Sequence[str], chances: _Floats) -> _Floats:
    return chances[:, list(findings).index(NORMAL)]


@torch.inference_mode()
def _either(
    model: PaperModel, name: str, findings: Sequence[str], chances: _Floats, inputs: _Floats
) -> tuple[list[_Words], list[_Words]]:
    """What is said of each image if it is normal, and if it is not."""
    columns = [list(findings).index(c) if c in findings and c != NORMAL else None for c in CLASSES]
    ill = np.stack(
        [np.full(len(chances), -1.0) if c is None else chances[:, c] for c in columns], 1
    ).argmax(1)
    variant = model.variants[name]
    features, _ = variant.embed(torch.from_numpy(inputs.astype(np.float32)))
    written = [
        [
            model.vocabulary.decode(line)
            for line in variant.write(features, torch.from_numpy(classes), model.steps)
        ]
        for classes in (np.full(len(ill), CLASSES.index(NORMAL)), ill)
    ]
    return written[0], written[1]
