"""Samples of studies, and scores of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import roc_auc_score

from indexer.evaluation.product import drawn_aucs
from indexer.evaluation.retrieval import text_weights
from indexer.learning.bootstrap import (
    draw_studies,
    middle,
    weighted_mean,
    weighted_median,
)
from tests.training.planted import example


def _width(values: npt.NDArray[np.float64], studies: list[str]) -> float:
    low, high = middle(weighted_mean(values, draw_studies(studies))) or (0, 0)
    assert low < values.mean() < high
    return high - low


def test_an_interval_spans_the_truth_and_keeps_studies_together() -> None:
    values = np.random.default_rng(0).normal(5, 1, 400)
    assert _width(values, [str(n) for n in range(400)]) == pytest.approx(4 / 20, rel=0.3)
    # Four images of each study say the same: the interval is twice as wide.
    same = values[np.arange(400) // 4]
    assert _width(same, [str(n // 4) for n in range(400)]) == pytest.approx(4 / 10, rel=0.4)


def test_a_score_that_no_sample_defines_has_no_interval() -> None:
    weights = draw_studies(["a", "b"])
    assert middle(weighted_mean(np.full(2, np.nan), weights)) is None
    assert middle([np.nan, 1, 1]) == [1, 1]


def test_every_sample_has_all_strata() -> None:
    studies = ["a", "a", "b", "c", "d", "d"]
    strata = ["rare", "rare", "often", "often", "rare", "often"]
    weights = draw_studies(studies, strata)
    assert (weights[:, 0] == 1).all(), "the only study of rare alone"
    assert (weights[:, 4] == weights[:, 5]).all()
    assert (weights[:, 2] + weights[:, 3] == 2).all()
    assert weights[:, 2].std() > 0
    loose = draw_studies(studies)
    assert (loose[:, 0] == loose[:, 1]).all()
    assert (loose[:, 0] == 0).any()


def test_weighted_scores_are_those_of_repeated_rows() -> None:
    rng = np.random.default_rng(0)
    # Few values, so that many are equal.
    scores = rng.integers(0, 9, 60).astype(np.float32)
    goals = rng.random(60) < scores / 12
    weights = draw_studies([str(n // 2) for n in range(60)], draws=20)
    areas, medians = drawn_aucs(goals, scores, weights), weighted_median(scores, weights)
    for row, area, median in zip(weights.astype(int), areas, medians, strict=True):
        rows = np.repeat(np.arange(60), row)
        assert area == pytest.approx(roc_auc_score(goals[rows], scores[rows]))
        assert median == np.median(scores[rows])
    assert np.isnan(drawn_aucs(np.ones(60, bool), scores, weights)).all()


def test_a_text_counts_as_the_studies_that_carry_it() -> None:
    lines = [("nodule", "left")] * 5 + [("opacity", "lung"), ("normal",), ("normal",)]
    examples = [example(n, words, f"s{min(n, 6)}") for n, words in enumerate(lines)]
    both = examples[5].annotations + examples[7].annotations
    examples[5] = replace(examples[5], annotations=both)
    texts = ["nodule, left", "normal", "opacity, lung"]
    weights = text_weights(texts, examples)
    studies = draw_studies([f"s{n}" for n in range(7)])
    assert weights[:, 0] == pytest.approx(studies[:, :5].mean(1))
    assert weights[:, 1] == pytest.approx(studies[:, 5:].mean(1))
    assert weights[:, 2] == pytest.approx(studies[:, 5])
    assert weights.mean(0) == pytest.approx(1, abs=0.2)
