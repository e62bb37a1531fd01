"""Scores of the paper's task: the disease of an image and its annotation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.annotation import NORMAL
from indexer.datasets.dataset import Example
from indexer.errors import MissingExtraError, TrainingError
from indexer.learning.bootstrap import DRAWS, Floats, draw_studies, middle, weighted_mean
from indexer.paper.classes import CLASSES, annotation_words, paper_class

__all__ = ["ORDERS", "bleu", "evaluate_paper", "final_variant"]

ORDERS = (1, 2, 3, 4)

_Words = tuple[str, ...]
_Counts = npt.NDArray[np.int64]


def bleu(references: Sequence[_Words], hypotheses: Sequence[_Words], order: int) -> float | None:
    """Corpus BLEU-`order` times 100 over the cases whose reference has at least `order` words.

    Uniform weights up to `order`, brevity penalty, no smoothing: a complete mismatch is 0.
    A word is a MeSH part, of however many words. None where no case is long enough.

    Raises
    ------
    MissingExtraError
        sacrebleu is not installed.
    """
    return _score(_statistics(references, hypotheses, order).sum(0), order)


def evaluate_paper(
    examples: Sequence[Example],
    predictions: Mapping[str, Sequence[_Words]],
    commonest: Mapping[str, _Words],
    *,
    chosen: str | None = None,
    resamples: int = DRAWS,
    seed: int = 0,
) -> dict[str, Any]:
    """Accuracy, balanced accuracy and BLEU of every variant, beside the trivial answers.

    What stands at the top level is of one variant, named by ``best``. BLEU-n is over the cases with
    at least n words, as in Shin et al. (CVPR 2016); see `bleu`.
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
        The variant whose scores stand at the top level; `final_variant` of them where None.
    resamples, seed
        Bootstrap draws of whole studies, for 95 % intervals; 0 leaves them out. For balanced
        accuracy every draw has as many studies of each class as there are: were a rare class
        left out of the draws that miss it, their means would be too high.

    Raises
    ------
    TrainingError
        No image has a class, a variant has another number of predictions, or there is none.
    """
    rows = [index for index, example in enumerate(examples) if paper_class(example) is not None]
    if not rows or not predictions:
        raise TrainingError("nothing to evaluate: no image has a class of the paper, or no variant")
    for name, lines in predictions.items():
        if len(lines) != len(examples):
            raise TrainingError(f"{name} has {len(lines)} predictions for {len(examples)} images")
    cases = [examples[row] for row in rows]
    references = [annotation_words(case) for case in cases]
    kept = {name: [tuple(lines[row]) for row in rows] for name, lines in predictions.items()}
    best = chosen if chosen is not None else final_variant(kept)
    if best not in kept:
        raise TrainingError(f"no variant is named {best!r}: there are {', '.join(kept)}")
    draws = _Draws.draw(cases, resamples, seed) if resamples else None

    def scores(written: Sequence[_Words]) -> dict[str, Any]:
        return _scores(references, written, draws)

    def usual(written: Sequence[_Words]) -> list[_Words]:
        return [commonest.get(words[0], (words[0],)) for words in written]

    variants = {
        name: {
            **scores(lines),
            "confusion": _confusion(references, lines),
            "class_and_commonest_annotation": scores(usual(lines)),
        }
        for name, lines in kept.items()
    }
    top = dict(variants[best])
    return {
        "images": len(cases),
        "studies": len({case.study for case in cases}),
        "diseased": sum(words[0] != NORMAL for words in references),
        "cases": {str(n): sum(len(words) >= n for words in references) for n in ORDERS},
        "best": best,
        "baselines": {
            "always_normal": scores([(NORMAL,)] * len(cases)),
            "class_and_commonest_annotation": top.pop("class_and_commonest_annotation"),
            "true_class_and_commonest_annotation": scores(usual(references)),
        },
        **top,
        "variants": variants,
    }


def final_variant(
    names: Iterable[str],
    chosen: str | None = None,
    recorded: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """The variant that stands for a cascade: one of its last round, so after feedback.

    It is `chosen` where that is of the last round; else the best by what training recorded of
    val; else the first by name.

    Parameters
    ----------
    names
        Of all variants (``"gru/1"``: after one round of feedback).
    recorded
        Per variant, its scores; the sum of balanced accuracy and mean BLEU decides, as in training.
    """
    rounds = {name: int(name.rpartition("/")[2] or 0) for name in names}
    last = sorted(name for name, number in rounds.items() if number == max(rounds.values()))
    if chosen in last:
        return chosen
    if recorded and all(name in recorded for name in last):
        return max(last, key=lambda name: _worth(recorded[name]))
    return last[0]


def _worth(scores: Mapping[str, Any]) -> float:
    worth: float = scores["balanced_accuracy"]
    return worth + sum(scores["bleu"][str(n)] or 0.0 for n in ORDERS) / len(ORDERS)


@dataclass(frozen=True, slots=True)
class _Draws:
    """How often each image comes in samples of studies, shape (draws, images)."""

    studies: Floats
    #: As many studies of each class in every sample: balanced accuracy is a mean over classes.
    by_class: Floats

    @classmethod
    def draw(cls, cases: Sequence[Example], draws: int, seed: int) -> _Draws:
        studies = [case.study for case in cases]
        classes = [paper_class(case) for case in cases]
        return cls(
            draw_studies(studies, draws=draws, seed=seed),
            draw_studies(studies, classes, draws=draws, seed=seed),
        )


def _scores(
    references: Sequence[_Words], hypotheses: Sequence[_Words], draws: _Draws | None
) -> dict[str, Any]:
    true = np.array([words[0] for words in references])
    right = np.array([words[0] if words else "" for words in hypotheses]) == true
    diseased = true != NORMAL
    statistics = {n: _statistics(references, hypotheses, n) for n in ORDERS}

    def recalls(weights: Floats) -> Floats:
        """Mean recall of the classes, for each row of weights."""
        each = [weighted_mean(right[true == c] * 1.0, weights[:, true == c]) for c in set(true)]
        mean: Floats = np.mean(each, 0)
        return mean

    def bleus(weights: Floats) -> dict[str, list[float | None]]:
        return {
            str(n): [_score(total, n) for total in (weights @ statistics[n]).astype(np.int64)]
            for n in ORDERS
        }

    def measure(studies: Floats, by_class: Floats) -> dict[str, Any]:
        return {
            "accuracy": 100 * weighted_mean(right * 1.0, studies),
            "balanced_accuracy": 100 * recalls(by_class),
            "bleu": bleus(studies),
            "bleu_diseased": bleus(studies * diseased),
        }

    once = np.ones((1, len(true)))
    whole = _each(measure(once, once), lambda drawn: _rounded(drawn[0]))
    if draws is not None:
        whole["intervals"] = _each(measure(draws.studies, draws.by_class), _ends)
    return whole


def _each(measured: Mapping[str, Any], summary: Callable[[Any], Any]) -> dict[str, Any]:
    """Measures, of groups too, in short."""
    return {
        key: _each(drawn, summary) if isinstance(drawn, Mapping) else summary(drawn)
        for key, drawn in measured.items()
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 1)


def _ends(drawn: Iterable[float | None]) -> list[float] | None:
    return middle([np.nan if value is None else value for value in drawn], digits=1)


def _statistics(references: Sequence[_Words], hypotheses: Sequence[_Words], order: int) -> _Counts:
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


def _score(total: _Counts, order: int) -> float | None:
    """BLEU of summed statistics; None of no case."""
    from sacrebleu.metrics.bleu import BLEU

    *counts, system_length, reference_length = total.tolist()
    if not reference_length:
        return None
    score = BLEU.compute_bleu(
        counts[:order],
        counts[order:],
        sys_len=system_length,
        ref_len=reference_length,
        smooth_method="none",
        max_ngram_order=order,
    )
    return float(score.score)


def _confusion(references: Sequence[_Words], hypotheses: Sequence[_Words]) -> dict[str, Any]:
    """Rows are true classes, columns said ones."""
    number = {name: index for index, name in enumerate(CLASSES)}
    counts = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        if hypothesis and hypothesis[0] in number:
            counts[number[reference[0]], number[hypothesis[0]]] += 1
    return {"classes": list(CLASSES), "counts": counts.tolist()}
