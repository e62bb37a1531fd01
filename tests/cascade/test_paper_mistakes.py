"""One test for each mistake of the paper's released code; each fails where it comes back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from indexer.cascade.evaluation.paper import bleu, evaluate_paper
from indexer.cascade.joint import cluster, joint_vectors
from indexer.cascade.paper.annotations import Vocabulary
from indexer.cascade.paper.classes import commonest_annotations
from indexer.cascade.paper.model import prepare
from indexer.cascade.paper.networks import Writer
from indexer.cascade.paper.recipe import PaperRecipe
from indexer.cascade.paper.training import first_labels, train_cascade, writer_loss
from indexer.errors import TrainingError
from tests.cascade.planted import example, planted_cases

SHORT = PaperRecipe(
    name="short", backbone="frozen", epochs=2, features=16, units=16, project=True, dropout=0.1,
    writer_epochs=2, writer_rate=1e-3, images_per_label=10, deviations=0.0,
)  # fmt: skip


def _writer(words: int = 12) -> Writer:
    torch.manual_seed(0)
    return Writer(8, words, "gru", 16, 1, project=True).eval()


def test_1_every_image_of_a_batch_is_its_own_picture() -> None:
    canvases = np.random.default_rng(0).integers(0, 255, (5, 20, 20), np.uint8)
    for draw in (None, torch.Generator().manual_seed(0)):
        batch = prepare(canvases, 16, draw)
        for picture, canvas in zip(batch[:, 0].numpy(), canvases, strict=True):
            windows = np.lib.stride_tricks.sliding_window_view(canvas, (16, 16))
            assert (windows == picture).all((2, 3)).any()


def test_2_the_state_advances_while_writing() -> None:
    """After the same second word, only the first one tells which word comes third."""
    writer = _writer()
    images = torch.zeros(64, 8)
    tokens = torch.tensor([[1, 5, 7, 0], [2, 5, 8, 0]]).repeat(32, 1)
    optimizer = torch.optim.Adam(writer.parameters(), 1e-2)
    writer.train()
    for _ in range(60):
        loss = writer.loss(images, tokens)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    lines = writer.eval().describe(images[:2], torch.tensor([1, 2]), beam=1)
    assert [[word for word, _ in line] for line in lines] == [[5, 7], [5, 8]]


def test_3_joint_vectors_know_the_order_of_words() -> None:
    images = torch.ones(2, 8)
    one, other = joint_vectors(_writer(), images, np.array([[3, 4, 5], [3, 5, 4]]))
    assert np.abs(one - other).max() > 1e-3


def test_4_every_image_comes_once_to_the_joint_stage(tmp_path: Path) -> None:
    cases = planted_cases(60, 1)
    assert len({e.image_id for e in cases.examples}) == len(cases.examples) == 60
    model = train_cascade(SHORT, cases, planted_cases(30, 2), work=tmp_path, device="cpu")
    for part in model.record["rounds"]:
        assert sum(part["labels"].values()) == part["images"] == 60


def test_5_composite_labels_stay_with_their_images() -> None:
    rng = np.random.default_rng(0)
    words = [("opacity", ("left", "right")[n]) for n in rng.integers(2, size=60)]
    vectors = np.array([[float(w[1] == "left") * 9, 0] for w in words]) + rng.normal(0, 1, (60, 2))
    labels = cluster(vectors.astype(np.float32), words, k=2, deviations=0.0)
    assert [labels.names[row] for row in labels.rows] == [", ".join(w) for w in words]
    cases = planted_cases(30, 1)
    first = first_labels(cases)
    assert [first.names[row] for row in first.rows] == [w[0] for w in cases.annotations]


def test_6_targets_end_with_their_own_record() -> None:
    vocabulary = Vocabulary(("<end>", "normal", "nodule", "left"))
    rows = vocabulary.encode([("nodule", "left"), ("normal",)], 5)
    assert rows.tolist() == [[2, 3, 0, -1, -1, -1], [1, 0, -1, -1, -1, -1]]
    writer, images = _writer(4), torch.randn(2, 8)
    loss = writer.loss(images, torch.from_numpy(rows))
    cut = writer.loss(images, torch.from_numpy(rows[:, :3]))
    torch.testing.assert_close(loss, cut)


def test_7_the_validation_loss_starts_from_the_image() -> None:
    writer, images = _writer(), torch.randn(4, 8)
    tokens = torch.tensor([[1, 5, 0], [2, 6, 0], [3, 7, 0], [4, 8, 0]])
    own = writer_loss(writer, images, tokens)
    assert own == pytest.approx(writer.loss(images, tokens).item())
    assert abs(own - writer_loss(writer, torch.zeros_like(images), tokens)) > 1e-4
    assert abs(own - writer_loss(writer, images.flip(0), tokens)) > 1e-4


def test_8_train_and_val_stay_apart(tmp_path: Path) -> None:
    train, val = planted_cases(60, 1), planted_cases(30, 2)
    shared = replace(val.examples[0], study=train.examples[0].study)
    mixed = replace(val, examples=(shared, *val.examples[1:]))
    with pytest.raises(TrainingError, match="split by study"):
        train_cascade(SHORT, train, mixed, work=tmp_path, device="cpu")
    # With one epoch val has nothing to end, so another val may not change one weight or label.
    once = replace(SHORT, epochs=1, writer_epochs=1)
    models = [
        train_cascade(once, train, other, work=tmp_path / str(n), device="cpu")
        for n, other in enumerate((val, planted_cases(45, 3)))
    ]
    tensors = [model.to_tensors() for model in models]
    assert tensors[0].keys() == tensors[1].keys()
    for name, tensor in tensors[0].items():
        np.testing.assert_array_equal(tensor, tensors[1][name])
    for one, other in zip(*(model.record["rounds"] for model in models), strict=True):
        assert one["labels"] == other["labels"]


def test_9_bleu_of_a_mismatch_is_zero_and_short_answers_pay() -> None:
    reference = ("opacity", "lung", "upper lobe", "left")
    for order in (1, 2, 3, 4):
        assert bleu([reference], [("nodule", "heart", "base", "right")], order) == 0
        assert bleu([reference], [reference], order) == pytest.approx(100)
    assert bleu([reference], [("opacity", "lung")], 2) == pytest.approx(100 * np.exp(1 - 2))
    assert bleu([reference], [("lung", "opacity")], 2) == 0, "no pair of words is right"
    assert bleu([("normal",)], [("normal",)], 2) is None


def test_bleu_counts_only_cases_with_enough_words() -> None:
    references = [("opacity", "lung"), ("normal",), ("nodule", "lung", "left")]
    said = [("opacity", "lung"), ("nodule",), ("nodule", "lung", "right")]
    assert bleu(references, said, 3) == 0
    # Pairs: opacity lung, nodule lung are right, lung right is wrong: 2 of 3; words: 4 of 5.
    assert bleu(references, said, 2) == pytest.approx(100 * (4 / 5 * 2 / 3) ** 0.5)


def test_the_evaluation_stands_beside_trivial_answers() -> None:
    words = [("normal",)] * 6 + [("nodule", "lung", "left")] * 2 + [("hernia",)]
    examples = [example(n, said) for n, said in enumerate(words)]
    found = evaluate_paper(
        examples,
        {"gru/0": [("normal",)] * 9, "gru/1": words},
        commonest_annotations(examples),
        resamples=20,
    )
    assert (found["images"], found["diseased"], found["best"]) == (8, 2, "gru/1")
    assert found["accuracy"] == found["balanced_accuracy"] == 100
    assert found["variants"]["gru/0"]["accuracy"] == 75
    assert found["variants"]["gru/0"]["balanced_accuracy"] == 50
    # Six of eight words are right, and twelve should have been said: 75 exp(1 - 12 / 8).
    assert found["baselines"]["always_normal"]["bleu"] == {"1": 45.5, "2": 0, "3": 0, "4": None}
    assert found["baselines"]["class_and_commonest_annotation"]["bleu"]["3"] == 100
    assert found["intervals"]["accuracy"] == [100, 100]
    assert np.sum(found["confusion"]["counts"]) == 8
    with pytest.raises(TrainingError, match="1 predictions for 9"):
        evaluate_paper(examples, {"gru/0": [("normal",)]}, {})
