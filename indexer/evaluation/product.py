"""Scores of what the product shows: findings, their probabilities, and the words on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from indexer.annotation import NORMAL, Annotation, WordKind
from indexer.cascade.bundle import Bundle
from indexer.datasets.targets import PRESENT, encode_targets
from indexer.evaluation.areas import MIN_POSITIVES
from indexer.evaluation.readings import Readings
from indexer.learning.bootstrap import draw_studies, middle, ratio

__all__ = ["WORD_KINDS", "calibration_error", "drawn_aucs", "evaluate_product", "word_scores"]

WORD_KINDS: tuple[WordKind, ...] = ("organ", "location", "side", "severity")
_BINS = 15

FloatArray = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def evaluate_product(bundle: Bundle, readings: Readings) -> dict[str, Any]:
    """Findings against what people or the labels of a table say.

    A finding is judged on the images of which it is known to be there, or not (softly or surely);
    the words on those that people annotated. Two findings that one label of a table means are
    judged once, as the first of them.

    Returns
    -------
    dict
        ``mean_auc`` over findings of at least 10 positives, ``normal_auc``, ``micro_f1`` and
        ``macro_f1`` at the bundle's thresholds, ``likely``, ``findings``, ``words``,
        ``calibration_error``, and 95 % ``intervals`` by study.
    """
    from sklearn.metrics import average_precision_score, f1_score

    names, logits = bundle.findings, readings.logits
    human = [example.annotations for example in readings.examples]
    targets, known = encode_targets(readings.examples, bundle.labels, once=True)
    known = known[:, : len(names)]
    goals = targets[:, : len(names)] > PRESENT
    chances = 1 / (1 + np.exp(-logits.astype(np.float64)))
    reported = _reported(bundle.thresholds, names, chances)
    reported &= known
    positives = goals.sum(0)
    aucs = [_auc(goals[known[:, c], c], logits[known[:, c], c]) for c in range(len(names))]
    often = [c for c, auc in enumerate(aucs) if auc is not None and positives[c] >= MIN_POSITIVES]
    findings = {
        name: {
            "auc": _rounded(aucs[c]),
            "average_precision": _rounded(
                average_precision_score(goals[known[:, c], c], logits[known[:, c], c])
            )
            if positives[c]
            else None,
            "f1": _rounded(f1_score(goals[:, c], reported[:, c], zero_division=0)),
            "positives": int(positives[c]),
        }
        for c, name in enumerate(names)
    }

    def mean(scores: Sequence[float | None]) -> float | None:
        return _rounded(float(np.mean([scores[c] for c in often]))) if often else None

    return {
        "mean_auc": mean(aucs),
        "normal_auc": findings[NORMAL]["auc"] if NORMAL in findings else None,
        "findings_in_mean": len(often),
        "micro_f1": _rounded(f1_score(goals, reported, average="micro", zero_division=0)),
        "macro_f1": mean([findings[name]["f1"] for name in names]),
        "calibration_error": _rounded(calibration_error(goals[known], chances[known])),
        "likely": _likely_scores(bundle, goals, known, chances),
        "words": word_scores(human, readings.annotations, names),
        "intervals": _intervals(readings, names, _Judged(goals, known, reported), often),
        "findings": findings,
    }


def _likely_scores(
    bundle: Bundle, goals: BoolArray, known: BoolArray, chances: Floats
) -> dict[str, float | None]:
    """How far a likely finding can be trusted; `normal` is none.

    ``precision`` and ``recall`` are over all pairs of image and finding of which it is known
    whether the finding is there.
    """
    names, likely = bundle.findings, bundle.likely or {}
    limits = np.array([1.1 if name == NORMAL else likely.get(name, 1.1) for name in names])
    finding = np.array([name != NORMAL for name in names])
    reported = (chances >= limits) & known
    hits, there = (goals & reported).sum(), (goals & known)[:, finding].sum()
    normal = goals[:, names.index(NORMAL)] if NORMAL in names else np.zeros(len(goals), bool)
    return {
        "precision": _rounded(hits / reported.sum()) if reported.any() else None,
        "recall": _rounded(hits / there) if there else None,
        "said": int(reported.sum()),
        "normal_images": int(normal.sum()),
        "normal_images_with_one": int(reported[normal].any(1).sum()),
    }


class _Judged(NamedTuple):
    """Of images and findings: what is there, of what that is known, what is reported."""

    goals: BoolArray
    known: BoolArray
    reported: BoolArray


def _intervals(
    readings: Readings, names: Sequence[str], judged: _Judged, often: Sequence[int]
) -> dict[str, list[float] | None]:
    """By the path of the score, its interval by study."""
    weights = draw_studies(readings.studies)
    goals, known, reported = judged
    aucs = np.stack(
        [
            drawn_aucs(goals[rows, c], readings.logits[rows, c], weights[:, rows])
            for c, rows in enumerate(known.T)
        ],
        1,
    )
    hits, total = weights @ (goals & reported), weights @ goals + weights @ reported
    found = {
        "mean_auc": middle(_means(aucs[:, often])),
        "normal_auc": middle(aucs[:, names.index(NORMAL)]) if NORMAL in names else None,
        "micro_f1": middle(ratio(2 * hits.sum(1), total.sum(1))),
        "macro_f1": middle(_means(ratio(2 * hits, total)[:, often])),
    }
    human = [example.annotations for example in readings.examples]
    for kind in WORD_KINDS:
        drawn = weights @ _word_counts(human, readings.annotations, kind, names)
        found[f"words.{kind}.f1"] = middle(ratio(2 * drawn[:, 0], drawn[:, 1]))
    return found | {f"findings.{name}.auc": middle(aucs[:, c]) for c, name in enumerate(names)}


def _means(drawn: Floats) -> Floats:
    """Per sample, the mean of the scores that it defines."""
    known = ~np.isnan(drawn)
    return ratio(np.where(known, drawn, 0).sum(1), known.sum(1).astype(np.float64))


def drawn_aucs(goals: BoolArray, scores: FloatArray, weights: Floats) -> Floats:
    """Per sample, the area under the curve; NaN where all or none of it are positive.

    Parameters
    ----------
    goals, scores
        Shape (n,).
    weights
        Shape (draws, n).
    """
    if not len(scores):
        return np.full(len(weights), np.nan)
    order = np.argsort(scores, kind="stable")
    # Equal scores are one step of the curve.
    starts = np.flatnonzero(np.append(True, np.diff(scores[order]) > 0))
    drawn = weights[:, order]
    good, bad = (np.add.reduceat(drawn * one[order], starts, 1) for one in (goals, ~goals))
    below = bad.cumsum(1) - bad / 2
    return ratio((good * below).sum(1), good.sum(1) * bad.sum(1))


def calibration_error(goals: BoolArray, chances: npt.NDArray[np.float64]) -> float:
    """Expected calibration error over pairs of image and finding.

    The mean distance between probability and frequency in 15 bins of equally many pairs of image
    and finding (Nixon et al., "Measuring Calibration in Deep Learning", 2019: adaptive bins, as
    nearly all probabilities are small).
    """
    from sklearn.calibration import calibration_curve

    truth, predicted = calibration_curve(
        goals.ravel(), chances.ravel(), n_bins=_BINS, strategy="quantile"
    )
    return float(np.abs(truth - predicted).mean())


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
    scores: dict[str, dict[str, float | None]] = {}
    for kind in WORD_KINDS:
        hits, total, exact, common = _word_counts(human, predicted, kind, findings).sum(0).tolist()
        scores[kind] = {
            "f1": _rounded(2 * hits / total) if total else None,
            "exact_match": _rounded(exact / common) if common else None,
        }
    return scores


def _word_counts(
    human: Sequence[Sequence[Annotation]],
    predicted: Sequence[Sequence[Annotation]],
    kind: WordKind,
    findings: Sequence[str],
) -> npt.NDArray[np.int64]:
    """Per image: words that both say, words of either, findings alike in their words, findings
    that both name and either words."""
    known = set(findings)
    counts = np.zeros((len(human), 4), np.int64)
    for row, one, other in zip(counts, human, predicted, strict=True):
        ours, theirs = (_words(side, kind, known) for side in (one, other))
        for finding in ours.keys() | theirs.keys():
            right, told = ours.get(finding, set()), theirs.get(finding, set())
            row[:2] += len(right & told), len(right) + len(told)
            if finding in ours and finding in theirs and right | told:
                row[2:] += right == told, 1
    return counts


def _words(
    annotations: Sequence[Annotation], kind: WordKind, known: set[str]
) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for annotation in annotations:
        if annotation.disease in known:
            found.setdefault(annotation.disease, set()).update(annotation.of_kind(kind))
    return found


def _reported(
    thresholds: Mapping[str, float], names: Sequence[str], chances: npt.NDArray[np.float64]
) -> BoolArray:
    """Findings over their thresholds; normal where there is none, as `Predictor` says it."""
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
