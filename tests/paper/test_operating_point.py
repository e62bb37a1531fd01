"""The point at which calibrated scores do the paper's task is chosen by the scores of val."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from indexer.paper.model import PaperModel
from indexer.paper.operating_point import choose_point
from indexer.paper.recipe import PaperRecipe
from indexer.paper.training.cascade import train_cascade
from tests.training.planted import embeddings, planted_cases, planted_words

FINDINGS = ("normal", "opacity", "nodule")
TINY = PaperRecipe(
    name="tiny", backbone="frozen", epochs=2, features=8, units=8, project=True, writer_epochs=2,
    writer_rate=5e-3, images_per_label=25,
)  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PaperModel:
    work = tmp_path_factory.mktemp("work")
    return train_cascade(TINY, planted_cases(48, 1), planted_cases(24, 2), work=work, device="cpu")


def _chances(words: list[tuple[str, ...]]) -> npt.NDArray[np.float64]:
    """Calibrated chances by which .4 of normal is where normal begins; all are sure of the rest."""
    rng = np.random.default_rng(0)
    rows = [
        [rng.uniform(0.4, 0.6) if disease == "normal" else rng.uniform(0.1, 0.3)]
        + [0.9 if disease == name else 0.01 for name in FINDINGS[1:]]
        for disease, *_ in words
    ]
    return np.array(rows)


def test_the_limit_with_the_best_sum_of_bleu_is_taken(model: PaperModel) -> None:
    truth = planted_words(60, 3)
    vectors, chances = embeddings(truth, 3), _chances(truth)
    point = choose_point(model, FINDINGS, chances, vectors, truth)
    assert point is not None
    assert point.variant in model.variants
    sums = [sum(row["bleu"].values()) for row in point.curve]
    taken = [row["limit"] for row in point.curve].index(point.limit)
    assert sums[taken] == max(sums)
    assert {*point.curve[0]} == {"limit", "accuracy", "bleu"}
    assert point.curve[-1]["limit"] > 1, "to call none normal is tried, too"
    said = point.predict(model, FINDINGS, chances, vectors)
    right = [words[0] == line[0] for words, line in zip(said, truth, strict=True)]
    assert np.mean(right) > 0.9, "the class is that of the scores, wherever the RNN errs"
    assert point.curve[taken]["accuracy"] == pytest.approx(100 * np.mean(right), abs=0.1)
    assert max(row["accuracy"] for row in point.curve) == 100
    assert point.curve[-1]["accuracy"] < 70


def test_a_bundle_without_normal_has_no_operating_point(model: PaperModel) -> None:
    truth = planted_words(6, 3)
    chances = _chances(truth)
    for names in (("opacity", "nodule"), ("normal",), ("normal", "unheard")):
        found = choose_point(model, names, chances[:, : len(names)], embeddings(truth, 3), truth)
        assert found is None


def test_it_is_kept_as_json(model: PaperModel) -> None:
    truth = planted_words(12, 3)
    point = choose_point(model, FINDINGS, _chances(truth), embeddings(truth, 3), truth)
    assert point is not None
    assert type(point)(**point.to_json()) == point
