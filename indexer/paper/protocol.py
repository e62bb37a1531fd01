"""The paper's task as a protocol of evaluation."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from indexer.cascade.compute import Compute
from indexer.datasets.dataset import Example, Part
from indexer.evaluation.pictures import load_pictures
from indexer.evaluation.protocols import part_name, require_metrics
from indexer.paper.classes import paper_class
from indexer.paper.loading import Cascade
from indexer.paper.scores import evaluate_paper

__all__ = ["evaluate"]

_log = logging.getLogger(__name__)


def evaluate(
    dataset: Path,
    part: Part,
    *,
    compute: Compute = Compute(),
    embeddings: Path | None = None,
    limit: int | None = None,
    warn: Callable[[str], None] = _log.warning,
) -> dict[str, Any]:
    """Judge the paper's cascade of a bundle, or one that was trained alone.

    Parameters
    ----------
    compute
        The bundle, or the folder of a cascade alone in its place, and where and in what it
        computes.
    embeddings
        The bundle that a cascade of its own folder reads.
    dataset, part, limit, warn
        As for `indexer.evaluation.protocols.evaluate`.

    Returns
    -------
    dict
        As documented in docs/evaluation.md. The task is of single images: nothing is pooled.

    Raises
    ------
    TrainingError
        The data set is unusable.
    BundleError
        There is no such bundle, or it has no cascade of the paper.
    MissingExtraError
        The metrics are not installed.
    """
    require_metrics()
    cascade = Cascade.load(None if compute.bundle is None else Path(compute.bundle), embeddings)
    pictures = load_pictures(
        dataset,
        part,
        cascade.settings,
        warn,
        limit=limit,
        leave_out=_not_of_a_class,
    )
    predictions = cascade.predict(pictures, compute)
    answer: dict[str, Any] = {
        "protocol": "paper",
        "bundle": {"name": cascade.name, "hash": cascade.hash},
    }
    if cascade.source is not None and cascade.source.hash != cascade.hash:
        answer["embeddings"] = {"name": cascade.source.name, "hash": cascade.source.hash}
    if cascade.point is not None:
        answer["operating_point"] = cascade.point.to_json()
    answer |= {"part": part_name(part), "left_out": pictures.left_out, "pool_studies": False}
    return answer | evaluate_paper(
        pictures.examples, predictions, cascade.model.commonest, chosen=cascade.best
    )


def _not_of_a_class(example: Example) -> str | None:
    return "not of one of the 17 classes" if paper_class(example) is None else None
