"""The paper's cascade as part of a bundle, over the embeddings of the bundle's CNNs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from indexer.learning.second_cascade import Embedded, SecondCascade
from indexer.paper.cases import Cases
from indexer.paper.classes import annotation_words, in_a_class, paper_class
from indexer.paper.operating_point import choose_point
from indexer.paper.recipe import named
from indexer.paper.training.cascade import train_cascade

__all__ = ["train_in_bundle"]


def train_in_bundle(
    parts: Mapping[str, Embedded], findings: Sequence[str], work: Path, device: str = "auto"
) -> SecondCascade | None:
    """Train the recipe ``bundle``, and choose its operating point on val.

    Parameters
    ----------
    parts
        The parts ``train`` and ``val``.
    findings
        The names of the columns of their logits.
    work
        Holds a checkpoint after each epoch.

    Returns
    -------
    SecondCascade or None
        None where a part has no image of the paper's classes.
    """
    if not all(in_a_class(part.examples) for part in parts.values()):
        return None
    train, val = (
        Cases.of(parts[name].examples, parts[name].vectors, wide=True) for name in ("train", "val")
    )
    model = train_cascade(named("bundle"), train, val, work=work, device=device)
    of_val = parts["val"]
    rows = [n for n, example in enumerate(of_val.examples) if paper_class(example) is not None]
    point = choose_point(
        model,
        findings,
        torch.from_numpy(of_val.logits[rows]).sigmoid().numpy(),
        of_val.vectors[rows],
        [annotation_words(of_val.examples[n]) for n in rows],
    )
    # The record is part of the bundle's record.
    description = model.description() | {"record": {}}
    if point is not None:
        description |= {"operating_point": point.to_json()}
    return SecondCascade(description, model.to_tensors(), model.record)
