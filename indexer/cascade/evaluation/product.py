"""Scores of what the product shows: findings, their probabilities, and the words on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.annotation import NORMAL, Annotation, Kind
from indexer.cascade.bundle import Bundle
from indexer.cascade.evaluation.bootstrap import interval
from indexer.cascade.evaluation.readings import Readings
from indexer.cascade.mining import encode_labels

__all__ = ["WORD_KINDS", "calibration_error", "evaluate_product", "word_scores"]

WORD_KINDS: tuple[Kind, ...] = ("organ", "location", "side", "severity")
# The mean is over findings of at least so many positives.
_LEAST_POSITIVES = 10
_BINS = 15

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]


def evaluate_product(bundle: Bundle, readings: Readings) -> dict[str, Any]:
    """Findings against human annotations.

    Returns
    -------
    dict
        ``mean_auc`` over findings of at least 10 positives, ``normal_auc``, ``micro_f1`` and
        ``macro_f1`` at the bundle's thresholds, ``findings``, ``words``, ``calibration_error``,
        and 95 % ``intervals`` by study.
    """
    from sklearn.metrics import average_precision_score, f1_score

    names, logits = bundle.findings, readings.logits
    human = [example.annotations for example in readings.examples]
    goals = encode_labels(human, bundle.labels)[:, : len(names)] > 0
    chances = 1 / (1 + np.exp(-logits.astype(np.float64)))
    reported = _reported(bundle.thresholds, names, chances)
    positives = goals.sum(0)
    ranked = [c for c in range(len(names)) if 0 < positives[c] < len(goals)]
    often = [c for c in ranked if positives[c] >= _LEAST_POSITIVES]

    def mean_auc(rows: Rows) -> float:
        areas = [_auc(goals[rows, c], logits[rows, c]) for c in often]
        kept = [area for area in areas if area is not None]
        return float(np.mean(kept)) if kept else float("nan")

    def micro_f1(rows: Rows) -> float:
        said, true = reported[rows], goals[rows]
        return float(2 * (said & true).sum() / max(said.sum() + true.sum(), 1))

    everything = np.arange(len(goals))
    findings = {
        name: {
            "auc": _rounded(_auc(goals[:, c], logits[:, c])),
            "average_precision": _rounded(average_precision_score(goals[:, c], logits[:, c]))
            if positives[c]
            else None,
            "f1": _rounded(f1_score(goals[:, c], reported[:, c], zero_division=0)),
            "positives": int(positives[c]),
        }
        for c, name in enumerate(names)
    }
    return {
        "mean_auc": _rounded(mean_auc(everything)),
        "normal_auc": findings[NORMAL]["auc"] if NORMAL in findings else None,
        "findings_in_mean": len(often),
        "micro_f1": _rounded(micro_f1(everything)),
        "macro_f1": _rounded(float(np.mean([findings[names[c]]["f1"] for c in often])))
        if often
        else None,
        "calibration_error": _rounded(calibration_error(goals, chances)),
        "words": word_scores(human, readings.annotations, names),
        "intervals": {
            "mean_auc": interval(mean_auc, readings.studies),
            "micro_f1": interval(micro_f1, readings.studies),
        },
        "findings": findings,
    }


def calibration_error(goals: BoolArray, chances: npt.NDArray[np.float64]) -> float:
    """Expected calibration error over all images and findings.

    The mean distance between probability and frequency in 15 bins of equally many pairs of image
    and finding (Nixon et al., "Measuring Calibration in Deep Learning", 2019: adaptive bins, as
    nearly all probabilities are small).
    """
    from sklearn.calibration import calibration_curve

    truth, said = calibration_curve(
        goals.ravel(), chances.ravel(), n_bins=_BINS, strategy="quantile"
    )
    return float(np.abs(truth - said).mean())


def word_scores(
    human: Sequence[Sequence[Annotation]],
    predicted: Sequence[Sequence[Annotation]],
    findings: Sequence[str],
) -> dict[str, dict[str, float | None]]:
    """How well organ, location, side and severity are told.

    A word counts with its finding, so that "left effusion" is no hit for a left opacity. ``f1``
    compares all pairs of finding and word (micro-averaged; findings the bundle does not know are
    left out); ``exact_match`` is the share of findings rightly reported whose words of the kind
    are just the human ones, where either side has any.
    """
    known = set(findings)
    scores: dict[str, dict[str, float | None]] = {}
    for kind in WORD_KINDS:
        hits = said = true = exact = common = 0
        for one, other in zip(human, predicted, strict=True):
            ours, theirs = (_words(side, kind, known) for side in (one, other))
            for finding in ours.keys() | theirs.keys():
                right, told = ours.get(finding, set()), theirs.get(finding, set())
                hits += len(right & told)
                said, true = said + len(told), true + len(right)
                if finding in ours and finding in theirs and right | told:
                    common += 1
                    exact += right == told
        scores[kind] = {
            "f1": _rounded(2 * hits / (said + true)) if said + true else None,
            "exact_match": _rounded(exact / common) if common else None,
        }
    return scores


def _words(annotations: Sequence[Annotation], kind: Kind, known: set[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for annotation in annotations:
        if annotation.disease in known:
            found.setdefault(annotation.disease, set()).update(annotation.of_kind(kind))
    return found


def _reported(
    thresholds: Mapping[str, float], names: Sequence[str], chances: npt.NDArray[np.float64]
) -> BoolArray:
    """Findings over their thresholds; normal where there is none, as `Runtime` says it."""
    reported: BoolArray = chances >= np.array([thresholds[name] for name in names])
    if NORMAL in names:
        normal = list(names).index(NORMAL)
        reported[:, normal] = False
        reported[:, normal] = ~reported.any(1)
    return reported


def _auc(goals: BoolArray, scores: FloatArray) -> float | None:
    from sklearn.metrics import roc_auc_score

    if not 0 < goals.sum() < len(goals):
        return None
    return float(roc_auc_score(goals, scores))


def _rounded(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else round(float(value), 4)
