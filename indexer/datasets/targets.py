"""What a network is taught: targets, and which of them are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.cascade.labels import LabelSet
from indexer.datasets.example import Example

__all__ = ["PRESENT", "KnownTargets", "encode_targets"]

#: Above this a soft target counts as present; a label that may have been missed is below it.
PRESENT = 0.5


@dataclass(frozen=True, slots=True)
class KnownTargets:
    """What is known of n images.

    Parameters
    ----------
    targets
        Shape (n, labels): 1 for yes, 0 for no, in between for a soft no.
    known
        The same shape; where it is False, nothing is.
    """

    targets: npt.NDArray[np.float32]
    known: npt.NDArray[np.bool_]

    def join(self, other: KnownTargets) -> KnownTargets:
        """With the labels of another after its own."""
        return KnownTargets(
            np.concatenate([self.targets, other.targets], 1),
            np.concatenate([self.known, other.known], 1),
        )

    def rows(self, rows: npt.NDArray[Any]) -> KnownTargets:
        """Of some images."""
        return KnownTargets(self.targets[rows], self.known[rows])

    def columns(self, columns: npt.NDArray[np.int64]) -> KnownTargets:
        """Of some labels."""
        return KnownTargets(self.targets[:, columns], self.known[:, columns])


def encode_targets(
    examples: Sequence[Example], labels: LabelSet, *, once: bool = False
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Targets of images, and where they are known.

    What an annotation says is there. What nobody speaks of is known only where the set says what
    that means (`Example.others`). A pair of a finding that is not there is not there either; one
    of a finding that is there is denied only by a person who annotates fully.

    Parameters
    ----------
    once
        Count as unknown what a label means beside the finding that it is called by, where that is
        among `labels`: to judge, as two findings that one label gives are one answer.

    Returns
    -------
    targets
        Shape (n, findings + pairs): 1 for yes, 0 for no, in between for a soft no.
    known
        The same shape; where it is False the target says nothing, and is 0.
    """
    names = labels.findings
    column = {name: index for index, name in enumerate(names)}
    pairs = {pair: len(names) + index for index, pair in enumerate(labels.pairs)}
    finding_of = np.array([column[finding] for finding, _ in labels.pairs], np.intp)
    targets = np.full((len(examples), len(names) + len(pairs)), np.nan, np.float32)
    for row, example in zip(targets, examples, strict=True):
        if example.others is not None:
            row[:] = example.others
        for name, chance in example.findings.items():
            if name in column:
                row[column[name]] = chance
        for annotation in example.annotations:
            if annotation.disease in column:
                row[column[annotation.disease]] = 1
        there = row[: len(names)] == 1
        if len(pairs):
            own = row[len(names) :]
            absent = ~there[finding_of] & ~np.isnan(row[finding_of])
            own[absent] = row[finding_of][absent]
        for annotation in example.annotations:
            for word in annotation.words[1:]:
                if (annotation.disease, word.text) in pairs:
                    row[pairs[annotation.disease, word.text]] = 1
        for name, first in example.implied.items() if once else ():
            if name in column and first in column:
                row[column[name]] = np.nan
    known = ~np.isnan(targets)
    return np.where(known, targets, 0).astype(np.float32), known
