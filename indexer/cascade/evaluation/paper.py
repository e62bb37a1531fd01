"""Scores of the paper's task: the disease of an image and its annotation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.annotation import NORMAL
from indexer.cascade.dataset import Example
from indexer.cascade.paper.classes import CLASSES, class_of, words_of
from indexer.errors import MissingExtraError, TrainingError

__all__ = ["ORDERS", "bleu", "evaluate_paper", "latest_variant"]

ORDERS = (1, 2, 3, 4)

_Words = tuple[str, ...]
_Rows = npt.NDArray[np.int64]


def bleu(references: Sequence[_Words], hypotheses: Sequence[_Words], order: int) -> float | None:
    """Corpus BLEU-`order` times 100 over the cases whose reference has at least `order` words.

    Uniform weights up to `order`, brevity penalty, no smoothing: a complete mismatch is 0.
    A word is a MeSH part, of however many words. None where no case is long enough.

    Raises
    ------
    MissingExtraError
        sacrebleu is not installed.
    """
    statistics = _statistics(references, hypotheses, order)
    return _score(statistics, np.arange(len(references)), order)


def evaluate_paper(
    examples: Sequence[Example],
    predictions: Mapping[str, Sequence[_Words]],
    commonest: Mapping[str, _Words],
    *,
    chosen: str | None = None,
    resamples: int = 200,
    seed: int = 0,
) -> dict[str, Any]:
    """Accuracy, balanced accuracy and BLEU of every variant, beside the trivial answers.

    BLEU-n is over the cases with at least n words, as in Shin et al. (CVPR 2016); see `bleu`.
    Everything but `confusion` and counts is a percentage.

    Parameters
    ----------
    examples
        Images, those without a class of the paper are left out together with their prediction.
    predictions
        Per variant, the word sequence of each of `examples`, disease first.
    commonest
        Per class, its commonest annotation in the train part.
    chosen
        The variant whose scores stand at the top level; `latest_variant` where None.
    resamples, seed
        Bootstrap draws of whole studies, for 95 % intervals; 0 leaves them out.

    Raises
    ------
    TrainingError
        No image has a class, a variant has another number of predictions, or there is none.
    """
    rows = [index for index, example in enumerate(examples) if class_of(example) is not None]
    if not rows or not predictions:
        raise TrainingError("nothing to evaluate: no image has a class of the paper, or no variant")
    for name, lines in predictions.items():
        if len(lines) != len(examples):
            raise TrainingError(f"{name} has {len(lines)} predictions for {len(examples)} images")
    cases = [examples[row] for row in rows]
    references = [words_of(case) for case in cases]
    draws = _draws([case.study for case in cases], resamples, seed)
    kept = {name: [tuple(lines[row]) for row in rows] for name, lines in predictions.items()}
    best = chosen if chosen is not None else latest_variant(kept)
    if best not in kept:
        raise TrainingError(f"no variant is named {best!r}: there are {', '.join(kept)}")

    def usual(disease: str) -> _Words:
        return commonest.get(disease, (disease,))

    trivial: dict[str, Sequence[_Words]] = {
        "always_normal": [(NORMAL,)] * len(cases),
        "class_and_commonest_annotation": [usual(words[0]) for words in kept[best]],
        "true_class_and_commonest_annotation": [usual(words[0]) for words in references],
    }
    variants = {name: _scores(references, lines, draws) for name, lines in kept.items()}
    return {
        "images": len(cases),
        "studies": len({case.study for case in cases}),
        "diseased": sum(words[0] != NORMAL for words in references),
        "cases": {str(n): sum(len(words) >= n for words in references) for n in ORDERS},
        "best": best,
        **variants[best],
        "baselines": {name: _scores(references, lines, draws) for name, lines in trivial.items()},
        "variants": variants,
        "confusion": _confusion(references, kept[best]),
    }


def latest_variant(names: Mapping[str, Any]) -> str:
    """The name with the highest round (``"gru/1"``), the first of several."""
    return max(names, key=lambda name: int(name.rpartition("/")[2] or 0))


def _scores(
    references: Sequence[_Words], hypotheses: Sequence[_Words], draws: Sequence[_Rows]
) -> dict[str, Any]:
    said = np.array([words[0] if words else "" for words in hypotheses])
    true = np.array([words[0] for words in references])
    statistics = {n: _statistics(references, hypotheses, n) for n in ORDERS}
    diseased = true != NORMAL

    def measure(rows: _Rows) -> dict[str, Any]:
        right = said[rows] == true[rows]
        recalls = [float(right[true[rows] == c].mean()) for c in np.unique(true[rows])]
        ill = rows[diseased[rows]]
        return {
            "accuracy": 100 * float(right.mean()),
            "balanced_accuracy": 100 * float(np.mean(recalls)),
            "bleu": {str(n): _score(statistics[n], rows, n) for n in ORDERS},
            "bleu_diseased": {str(n): _score(statistics[n], ill, n) for n in ORDERS},
        }

    whole = _rounded(measure(np.arange(len(true))))
    if draws:
        whole["intervals"] = _intervals([measure(rows) for rows in draws])
    return whole


def _statistics(
    references: Sequence[_Words], hypotheses: Sequence[_Words], order: int
) -> npt.NDArray[np.int64]:
    """Per case: matches and totals of each length up to `order`, then both lengths; zeros for a
    case of less than `order` words."""
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError as error:
        raise MissingExtraError("BLEU needs the extra: pip install 'cxrdex[train]'") from error
    metric = BLEU(
        tokenize="none", smooth_method="none", max_ngram_order=order, effective_order=True
    )
    rows = np.zeros((len(references), 2 * order + 2), np.int64)
    for row, reference, hypothesis in zip(rows, references, hypotheses, strict=True):
        if len(reference) >= order:
            score = metric.sentence_score(_line(hypothesis), [_line(reference)])
            row[:] = [*score.counts, *score.totals, score.sys_len, score.ref_len]
    return rows


def _line(words: _Words) -> str:
    return " ".join(word.replace(" ", "_") for word in words)


def _score(statistics: npt.NDArray[np.int64], rows: _Rows, order: int) -> float | None:
    from sacrebleu.metrics.bleu import BLEU

    total = statistics[rows].sum(0).tolist()
    if not total[-1]:
        return None
    counts, totals = total[:order], total[order : 2 * order]
    score = BLEU.compute_bleu(
        counts,
        totals,
        sys_len=total[-2],
        ref_len=total[-1],
        smooth_method="none",
        max_ngram_order=order,
    )
    return float(score.score)


def _draws(studies: Sequence[str], resamples: int, seed: int) -> list[_Rows]:
    """Rows of resampled studies; the images of a study come and go together."""
    rng = np.random.default_rng(seed)
    _, owner = np.unique(np.array(studies), return_inverse=True)
    members = [np.flatnonzero(owner == study) for study in range(int(owner.max()) + 1)]
    return [
        np.concatenate([members[study] for study in rng.integers(0, len(members), len(members))])
        for _ in range(resamples)
    ]


def _intervals(measured: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """2.5 and 97.5 percentiles of each number."""
    found: dict[str, Any] = {}
    for key, first in measured[0].items():
        column = [row[key] for row in measured]
        if isinstance(first, Mapping):
            found[key] = _intervals(column)
        else:
            values = [value for value in column if value is not None]
            ends = np.percentile(values, [2.5, 97.5]).tolist() if values else None
            found[key] = ends and [round(end, 1) for end in ends]
    return found


def _rounded(scores: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _rounded(value)
        if isinstance(value, Mapping)
        else (None if value is None else round(value, 1))
        for key, value in scores.items()
    }


def _confusion(references: Sequence[_Words], hypotheses: Sequence[_Words]) -> dict[str, Any]:
    """Rows are true classes, columns said ones."""
    number = {name: index for index, name in enumerate(CLASSES)}
    counts = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        if hypothesis and hypothesis[0] in number:
            counts[number[reference[0]], number[hypothesis[0]]] += 1
    return {"classes": list(CLASSES), "counts": counts.tolist()}
