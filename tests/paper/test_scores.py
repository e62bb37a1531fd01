"""The paper's scores: which variant stands on top, and intervals by study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from indexer.datasets.dataset import Example
from indexer.errors import TrainingError
from indexer.paper.classes import CLASSES
from indexer.paper.scores import evaluate_paper, final_variant
from tests.training.planted import example

WORDS: list[tuple[str, ...]] = [("normal",)] * 6 + [("nodule", "lung", "left")] * 2
EXAMPLES = [example(n, line) for n, line in enumerate(WORDS)]
NAMES = ("gru/0", "gru/1", "lstm/0", "lstm/1")


def _recorded(**balanced: float) -> dict[str, Any]:
    """Scores on val; BLEU favours no one."""
    bleu = {"1": 1.0, "2": 1.0, "3": None, "4": None}
    return {
        name.replace("_", "/"): {"balanced_accuracy": value, "bleu": bleu}
        for name, value in balanced.items()
    }


def test_a_cascade_is_what_it_is_after_feedback() -> None:
    assert final_variant(NAMES, "lstm/1") == "lstm/1"
    scores = _recorded(gru_0=90, gru_1=20, lstm_0=10, lstm_1=30)
    assert final_variant(NAMES, "gru/0", scores) == "lstm/1"
    assert final_variant(NAMES, "gru/0") == final_variant(reversed(NAMES)) == "gru/1"
    assert final_variant(NAMES, "gru/0", _recorded(lstm_1=30)) == "gru/1", "not all are known"
    assert final_variant(["lstm/0", "gru/0"], "lstm/0") == "lstm/0", "without feedback"


def test_bleu_too_decides_which_variant_is_the_best() -> None:
    scores = _recorded(gru_1=20, lstm_1=21)
    scores["gru/1"]["bleu"] = {"1": 9.0, "2": 1.0, "3": 1.0, "4": 1.0}
    assert final_variant(NAMES, "gru/0", scores) == "gru/1"


def test_the_chosen_variant_stands_on_top_and_each_has_all_of_its_own() -> None:
    wrong: list[tuple[str, ...]] = [("opacity", "base")] * 8
    predictions = {"gru/0": WORDS, "gru/1": wrong, "lstm/1": WORDS}
    commonest = {"opacity": ("opacity", "lung")}
    found = evaluate_paper(EXAMPLES, predictions, commonest, chosen="lstm/1", resamples=9)
    assert (found["best"], found["accuracy"]) == ("lstm/1", 100)
    for name, accuracy in (("lstm/1", 100), ("gru/1", 0)):
        own = found["variants"][name]
        assert own["accuracy"] == accuracy
        assert own["class_and_commonest_annotation"]["accuracy"] == accuracy
        assert np.trace(own["confusion"]["counts"]) == 8 * accuracy / 100
        assert np.sum(own["confusion"]["counts"]) == 8
    top = evaluate_paper(EXAMPLES, predictions, commonest, resamples=9)
    own = top["variants"]["gru/1"]
    assert top["best"] == "gru/1"
    for key in ("accuracy", "balanced_accuracy", "bleu", "bleu_diseased", "confusion", "intervals"):
        assert top[key] == own[key]
    usual = "class_and_commonest_annotation"
    assert top["baselines"][usual] == own[usual]
    with pytest.raises(TrainingError, match="no variant is named 'gru/9'"):
        evaluate_paper(EXAMPLES, predictions, commonest, chosen="gru/9")


def _interval(
    examples: list[Example], written: Sequence[tuple[str, ...]], key: str
) -> tuple[float, ...]:
    scores = evaluate_paper(examples, {"gru/0": written}, {})
    low, high = scores["intervals"][key]
    assert low <= scores[key] <= high
    return float(low), float(high)


def test_the_images_of_a_study_come_together() -> None:
    """Of each study all or none of its four images are read right."""
    written = [("normal",) if n // 4 % 2 else ("nodule",) for n in range(320)]
    widths = []
    for together in (1, 4):
        examples = [example(n, ("normal",), f"s{n // together}") for n in range(320)]
        low, high = _interval(examples, written, "accuracy")
        widths.append(high - low)
    assert widths[1] == pytest.approx(2 * widths[0], rel=0.3)


def test_a_rare_class_is_missed_by_no_sample_of_balanced_accuracy() -> None:
    words = [("normal",)] * 60 + [(name,) for name in CLASSES[1:]]
    examples = [example(n, line) for n, line in enumerate(words)]
    ends = _interval(examples, [("normal",)] * len(words), "balanced_accuracy")
    assert ends == pytest.approx((100 / 17, 100 / 17), abs=0.1)
    half = [("normal",) if n % 2 else ("nodule",) for n in range(len(words))]
    low, high = _interval(examples, half, "balanced_accuracy")
    assert 0 < high - low < 5
