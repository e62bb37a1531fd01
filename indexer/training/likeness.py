"""How likely it is that pictures share a finding, by their search vectors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from indexer.cascade.interpretation.likeness import Likeness
from indexer.datasets.targets import PRESENT
from indexer.training.sources import PARTS, Sources

__all__ = ["fit_likeness", "group_means"]


def fit_likeness(sources: Sources, vectors: Mapping[str, npt.NDArray[np.float32]]) -> Likeness:
    """How likely annotated val images share a finding with train images, by their pooled
    vectors."""
    pooled, there = {}, {}
    for part in PARTS:
        rows = sources.annotated(part)
        study = [sources.examples[part][n].study for n in rows]
        groups = torch.from_numpy(np.unique(study, return_inverse=True)[1])
        pooled[part] = group_means(torch.from_numpy(vectors[part][rows]).double(), groups)
        goals = sources.known[part].targets[rows, : len(sources.labels.findings)]
        there[part] = (goals > PRESENT).astype(np.float32)
    own = pooled["val"].square().sum(1, keepdim=True).clamp(min=1e-12)
    shares = (pooled["val"] @ pooled["train"].T / own).numpy()
    return Likeness.fitted(shares.ravel(), (there["val"] @ there["train"].T > 0).ravel())


def group_means(rows: Tensor, groups: Tensor) -> Tensor:
    """Each row as the mean of its group."""
    sums = rows.new_zeros(int(groups.max()) + 1, rows.shape[1])
    sums = sums.index_add(0, groups, rows)
    return (sums / groups.bincount()[:, None])[groups]
