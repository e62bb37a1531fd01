"""Scores of search: by picture among pictures, and by an annotation's words among pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.annotation import NORMAL, Annotation
from indexer.datasets.dataset import Example
from indexer.evaluation.readings import Readings
from indexer.learning.bootstrap import (
    draw_studies,
    middle,
    weighted_mean,
    weighted_median,
)

__all__ = ["Truth", "evaluate_retrieval", "image_scores", "text_ranks", "text_weights"]

FloatArray = npt.NDArray[np.float32]
Interval = list[float] | None

_IMAGE_KEYS = ("p_at_1", "p_at_5", "p_at_10", "ndcg_at_10", "map")
_CHANCE_DRAWS = 20
# Discount of each rank (Järvelin and Kekäläinen, 2002).
_DISCOUNTS = 1 / np.log2(np.arange(2, 12))


def evaluate_retrieval(
    queries: Readings,
    gallery: Readings,
    baselines: dict[str, tuple[FloatArray, FloatArray]],
) -> dict[str, Any]:
    """Search by picture and by words.

    Parameters
    ----------
    queries
        The evaluated part; for search by words it is the gallery as well.
    gallery
        Where similar images are looked for.
    baselines
        By name, vectors of queries and gallery, compared by inner product as those of the bundle.

    Returns
    -------
    dict
        ``image_to_image`` with ``all`` and ``abnormal``, ``text_to_image`` (None for a bundle
        without a sentence space), ``baselines`` of both beside chance, 95 % ``intervals`` by study.
    """
    truth = Truth(queries.examples, gallery.examples)
    vectors = {"bundle": (queries.embeddings, gallery.embeddings), **baselines}
    found = {name: image_scores(one @ other.T, truth) for name, (one, other) in vectors.items()}
    random = np.random.default_rng(0).random((len(queries.studies), len(gallery.studies)))
    found["chance"] = image_scores(random.astype(np.float32), truth)
    summaries = {name: _summary(scores, truth) for name, scores in found.items()}
    words, chance, ranks_intervals = _by_words(queries)
    return {
        "gallery_images": len(gallery.studies),
        "abnormal_queries": int(truth.abnormal.sum()),
        "image_to_image": summaries.pop("bundle"),
        "text_to_image": words,
        "baselines": {
            "image_to_image": summaries,
            "text_to_image": {"chance": chance},
        },
        "intervals": _image_intervals(found["bundle"], truth, queries.studies) | ranks_intervals,
    }


class Truth:
    """Which gallery images are relevant for which queries, and how much.

    Relevant is an image that shares a human top-level term. Its grade is the overlap (Jaccard) of
    the sets of terms and of terms with each qualifier. A query's own study is left out.
    """

    def __init__(self, queries: Sequence[Example], gallery: Sequence[Example]) -> None:
        units = [_units(e.annotations) for e in (*queries, *gallery)]
        column = {unit: index for index, unit in enumerate(sorted({u for s in units for u in s}))}
        labels = np.zeros((len(units), len(column)), np.float32)
        for row, own in enumerate(units):
            labels[row, [column[unit] for unit in own]] = 1
        terms = [index for unit, index in column.items() if len(unit) == 1]
        one, other = labels[: len(queries)], labels[len(queries) :]
        common = one @ other.T
        self.grades = common / (one.sum(1)[:, None] + other.sum(1)[None] - common)
        self.relevant = one[:, terms] @ other[:, terms].T > 0
        studies = np.array([e.study for e in gallery])
        self.own = np.array([e.study for e in queries])[:, None] == studies[None]
        self.abnormal = np.array([all(a.disease != NORMAL for a in e.annotations) for e in queries])
        self.groups = {"all": np.ones(len(queries), bool), "abnormal": self.abnormal}


def _units(annotations: Sequence[Annotation]) -> set[tuple[str, ...]]:
    terms: set[tuple[str, ...]] = {(a.disease,) for a in annotations}
    return terms | {(a.disease, word.text) for a in annotations for word in a.words[1:]}


def image_scores(similarity: FloatArray, truth: Truth) -> dict[str, FloatArray]:
    """Per query: precision at 1, 5 and 10, nDCG at 10 and average precision; of equal likenesses
    the first in the gallery counts as nearer.

    Parameters
    ----------
    similarity
        Shape (queries, gallery).
    """
    rows: dict[str, list[float]] = {key: [] for key in _IMAGE_KEYS}
    for line, own, relevant, grades in zip(
        similarity, truth.own, truth.relevant, truth.grades, strict=True
    ):
        order = np.argsort(-line, kind="stable")
        order = order[~own[order]]
        right = relevant[order]
        for k in (1, 5, 10):
            rows[f"p_at_{k}"].append(float(right[:k].mean()))
        # Without any relevant image the ideal gain is 0, and the score is undefined.
        found = np.flatnonzero(right)
        gains = grades[order]
        best = np.sort(np.partition(gains, -10)[-10:] if len(gains) > 10 else gains)[::-1]
        ideal = best @ _DISCOUNTS[: len(best)]
        rows["ndcg_at_10"].append(
            float(gains[:10] @ _DISCOUNTS[: len(gains[:10])] / ideal) if len(found) else math.nan
        )
        precision = np.arange(1, len(found) + 1) / (found + 1)
        rows["map"].append(float(precision.mean()) if len(found) else math.nan)
    return {key: np.array(values, np.float32) for key, values in rows.items()}


def _summary(scores: dict[str, FloatArray], truth: Truth) -> dict[str, dict[str, float | None]]:
    return {
        group: {key: _mean(values[rows]) for key, values in scores.items()}
        for group, rows in truth.groups.items()
    }


def _image_intervals(
    scores: dict[str, FloatArray], truth: Truth, studies: Sequence[str]
) -> dict[str, Interval]:
    weights = draw_studies(studies)
    return {
        f"image_to_image.{group}.{key}": middle(weighted_mean(values[rows], weights[:, rows]))
        for group, rows in truth.groups.items()
        for key, values in scores.items()
    }


def _mean(values: FloatArray) -> float | None:
    kept = values[~np.isnan(values)]
    return round(float(kept.mean()), 4) if len(kept) else None


def text_ranks(
    similarity: FloatArray, texts: Sequence[str], examples: Sequence[Example]
) -> npt.NDArray[np.int64]:
    """Per text, the rank (from 1) of the first image whose report carries that annotation.

    Parameters
    ----------
    similarity
        Shape (texts, images).
    """
    own = [{a.text for a in example.annotations} for example in examples]
    ranks = []
    for text, line in zip(texts, similarity, strict=True):
        order = np.argsort(-line, kind="stable")
        ranks.append(next(rank for rank, row in enumerate(order, 1) if text in own[row]))
    return np.array(ranks)


def _by_words(
    readings: Readings,
) -> tuple[dict[str, float] | None, dict[str, float], dict[str, Interval]]:
    """Scores of the distinct annotations as queries, those of chance, and intervals."""
    from indexer.words import sentences

    examples = readings.examples
    texts = sorted({a.text for example in examples for a in example.annotations})
    random = np.random.default_rng(0)
    shape = (len(texts), len(examples))
    draws = [
        _text_summary(text_ranks(random.random(shape, np.float32), texts, examples), len(examples))
        for _ in range(_CHANCE_DRAWS)
    ]
    chance = {key: round(float(np.mean([d[key] for d in draws])), 4) for key in draws[0]}
    chance["queries"] = len(texts)
    if readings.fit is None:
        return None, chance, {}
    similarity = readings.fit(sentences.encode(texts))
    ranks = text_ranks(similarity, texts, examples)
    weights = text_weights(texts, examples)
    intervals = {
        f"text_to_image.r_at_{k}": middle(weighted_mean((ranks <= k).astype(np.float64), weights))
        for k in (1, 5, 10)
    }
    intervals["text_to_image.median_rank_share"] = middle(
        weighted_median(ranks, weights) / len(examples)
    )
    return _text_summary(ranks, len(examples)), chance, intervals


def text_weights(texts: Sequence[str], examples: Sequence[Example]) -> npt.NDArray[np.float64]:
    """How much each text counts in samples of studies.

    It counts as often as the studies that carry it came, divided by their number: once on the
    average, whether one study carries it or many.

    Returns
    -------
    numpy.ndarray
        Shape (draws, texts).
    """
    column = {text: index for index, text in enumerate(texts)}
    by_study: dict[str, set[int]] = {}
    for example in examples:
        by_study.setdefault(example.study, set()).update(
            column[a.text] for a in example.annotations
        )
    carried = np.zeros((len(by_study), len(texts)))
    for row, own in zip(carried, by_study.values(), strict=True):
        row[list(own)] = 1
    weights: npt.NDArray[np.float64] = draw_studies(list(by_study)) @ (carried / carried.sum(0))
    return weights


def _text_summary(ranks: npt.NDArray[np.int64], images: int) -> dict[str, float]:
    shares = {f"r_at_{k}": round(float(np.mean(ranks <= k)), 4) for k in (1, 5, 10)}
    return {
        "queries": len(ranks),
        **shares,
        "median_rank_share": round(float(np.median(ranks)) / images, 4),
    }
