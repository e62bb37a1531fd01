"""One test for each mistake of the paper's released code; each fails where it comes back."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.networks.annotator import Annotator
from indexer.cascade.reading import Predictor
from indexer.datasets.mining import encode_sequences, mine
from indexer.errors import TrainingError
from indexer.learning.composite_labels import cluster, joint_vectors
from indexer.paper.annotations import PaperVocabulary
from indexer.paper.cases import Cases, load_cases
from indexer.paper.classes import commonest_annotations
from indexer.paper.model import PaperModel, Variant, prepare
from indexer.paper.networks import PaperAnnotator
from indexer.paper.recipe import PaperRecipe
from indexer.paper.scores import bleu, evaluate_paper
from indexer.paper.training.annotator import annotator_loss
from indexer.paper.training.cascade import train_cascade
from indexer.paper.training.rounds import first_labels
from indexer.training.annotator import train_annotator
from indexer.training.composite_labels import find_composites
from indexer.training.recipe import Recipe
from tests.training.planted import (
    DIMENSIONS,
    embeddings,
    example,
    planted_cases,
    planted_folder,
    planted_words,
    shown,
)

SHORT = PaperRecipe(
    name="short", backbone="frozen", epochs=2, features=16, units=16, project=True, dropout=0.1,
    writer_epochs=2, writer_rate=1e-3, images_per_label=10, deviations=0.0,
)  # fmt: skip
LEARNING = replace(
    SHORT, epochs=10, learning_rate=0.05, features=32, units=32,
    writer_epochs=20, writer_rate=5e-3, writer_batch=16, clusters=2,
)  # fmt: skip
PICTURES = {"train": 80, "val": 40}


def _writer(words: int = 12) -> PaperAnnotator:
    torch.manual_seed(0)
    return PaperAnnotator(8, words, "gru", 16, 1, project=True).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted_folder(tmp_path_factory.mktemp("planted") / "set", PICTURES)


def _cases(words: list[tuple[str, ...]], seed: int) -> Cases:
    examples = [example(seed * 1000 + n, line) for n, line in enumerate(words)]
    return Cases.of(examples, embeddings(words, seed))


@pytest.fixture(scope="module")
def parts() -> tuple[Cases, Cases]:
    """Images of which only the disease and its side are said."""
    train, val = (
        [words[:3] for words in planted_words(count, seed)] for count, seed in ((150, 1), (90, 2))
    )
    return _cases(train, 1), _cases(val, 2)


@pytest.fixture(scope="module")
def trained(parts: tuple[Cases, Cases], tmp_path_factory: pytest.TempPathFactory) -> PaperModel:
    work = tmp_path_factory.mktemp("work")
    return train_cascade(LEARNING, *parts, work=work, device="cpu")


@torch.inference_mode()
def _alone(variant: Variant, cases: Cases) -> Tensor:
    """Features of each image, read without the others."""
    return torch.cat([variant.embed(prepare(row[None], 0))[0] for row in cases.inputs])


@torch.inference_mode()
def _loss_by_words(rnn: Annotator, images: Tensor, tokens: npt.NDArray[np.int64]) -> float:
    """Mean cross-entropy of the words after the first, one image and one word at a time."""
    losses = []
    for image, row in zip(images, torch.from_numpy(tokens), strict=True):
        state = rnn.initial_state(image[None])
        for word, target in pairwise(row):
            if target < 0:
                break
            logits, state = rnn.step(word.reshape(1, 1), state)
            losses.append(nn.functional.cross_entropy(logits[0, 0], target).item())
    return float(np.mean(losses))


def test_1_every_image_of_a_batch_is_its_own_picture() -> None:
    canvases = np.random.default_rng(0).integers(0, 255, (5, 20, 20), np.uint8)
    for draw in (None, torch.Generator().manual_seed(0)):
        batch = prepare(canvases, 16, draw)
        for picture, canvas in zip(batch[:, 0].numpy(), canvases, strict=True):
            windows = np.lib.stride_tricks.sliding_window_view(canvas, (16, 16))
            assert (windows == picture).all((2, 3)).any()


@pytest.mark.parametrize("part", PICTURES)
def test_1_4_5_every_picture_is_read_once_and_is_its_own(
    folder: Path, tmp_path: Path, part: str
) -> None:
    recipe = replace(SHORT, backbone="test_resnet", size=40, wide=True)
    for cases in (load_cases(folder, part, recipe, work=tmp_path) for _ in ("new", "kept")):
        of_no_class = range(7, PICTURES[part], 8)
        names = [f"{part}{n}" for n in range(PICTURES[part]) if n not in of_no_class]
        assert [e.image_id for e in cases.examples] == names
        assert [e.image_id for e in cases.others] == [f"{part}{n}" for n in of_no_class]
        for canvas, words in zip(cases.inputs, cases.annotations, strict=True):
            assert shown(canvas) == set(words) & {"normal", "opacity", "nodule", "left", "right"}


def test_1_the_rnn_learns_from_each_images_own_features(
    trained: PaperModel, parts: tuple[Cases, Cases]
) -> None:
    for cases in parts:
        for written in trained.predict(cases.inputs).values():
            ill = [(s, t) for s, t in zip(written, cases.annotations, strict=True) if len(t) > 1]
            assert np.mean([t[2] in s for s, t in ill]) > 0.8, "chance of the side is 0.5"


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
    # Ordered by disease, so that the first half does not stand for the whole.
    cases = _cases(sorted(planted_words(75, 1)), 1)
    recipe = replace(SHORT, images_per_label=20)
    model = train_cascade(recipe, cases, planted_cases(30, 2), work=tmp_path, device="cpu")
    for part in model.record["rounds"]:
        # 25 images of a disease are one label of 20; twice as many would be two.
        assert part["labels"] == {"normal": 25, "nodule": 25, "opacity": 25}


def test_4_every_annotation_comes_once_to_the_products_joint_stage() -> None:
    cases = {"train": planted_cases(90, 1), "val": planted_cases(30, 2)}
    by_part = {part: [e.annotations for e in rows.examples] for part, rows in cases.items()}
    labels = mine(by_part["train"], 5)
    torch.manual_seed(0)
    rnn = Annotator(DIMENSIONS, len(labels.vocabulary), "gru", 16).eval()
    vectors = {part: rows.inputs for part, rows in cases.items()}
    found = find_composites(
        rnn, labels, by_part, vectors, Recipe(images_per_label=15, deviations=0.0)
    )
    # 30 opacities, 30 nodules.
    assert Counter(name.split(", ")[0] for name in found.names) == {"opacity": 2, "nodule": 2}
    assert len(found.joint) == len(found.joint_labels) == len(np.unique(found.joint, axis=0)) == 60
    assert {part: goals.sum() for part, goals in found.goals.items()} == {"train": 60, "val": 20}


def test_5_composite_labels_stay_with_their_images() -> None:
    rng = np.random.default_rng(0)
    words = [("opacity", ("left", "right")[n]) for n in rng.integers(2, size=60)]
    vectors = np.array([[float(w[1] == "left") * 9, 0] for w in words]) + rng.normal(0, 1, (60, 2))
    labels = cluster(vectors.astype(np.float32), words, k=2, deviations=0.0)
    assert [labels.names[row] for row in labels.rows] == [", ".join(w) for w in words]
    cases = planted_cases(30, 1)
    first = first_labels(cases)
    assert [first.names[row] for row in first.rows] == [w[0] for w in cases.annotations]


def test_5_the_cnn_of_a_round_learns_its_images_own_composite_labels(
    trained: PaperModel, parts: tuple[Cases, Cases]
) -> None:
    variant = trained.variants["gru/1"]
    assert sorted(variant.labels) == [
        "nodule, left", "nodule, right", "normal", "opacity, left", "opacity, right",
    ]  # fmt: skip
    for cases in parts:
        with torch.inference_mode():
            _, logits = variant.classifier(prepare(cases.inputs, 0))
        labels = [set(variant.labels[n].split(", ")) for n in logits.argmax(1).tolist()]
        right = [label <= {*own} for label, own in zip(labels, cases.annotations, strict=True)]
        assert np.mean(right) > 0.8, "chance is 0.2"


def test_5_kept_embeddings_stay_with_their_images(
    folder: Path, tmp_path: Path, bundle: Bundle
) -> None:
    runtime = Predictor(bundle, Compute(device="cpu"))
    size = replace(SHORT, backbone="test_resnet", size=bundle.size)
    pictures = load_cases(folder, "val", size, work=tmp_path / "own", limit=12)
    alone = [runtime.read(picture[None])[0].embedding for picture in pictures.inputs]
    for _ in ("new", "kept"):
        cases = load_cases(folder, "val", SHORT, work=tmp_path, device="cpu", limit=12)
        assert [e.image_id for e in cases.examples] == [e.image_id for e in pictures.examples]
        np.testing.assert_allclose(cases.inputs, np.stack(alone), atol=1e-4)


def test_6_targets_end_with_their_own_record() -> None:
    vocabulary = PaperVocabulary(("<end>", "normal", "nodule", "left"))
    rows = vocabulary.encode([("nodule", "left"), ("normal",)], 5)
    assert rows.tolist() == [[2, 3, 0, -1, -1, -1], [1, 0, -1, -1, -1, -1]]
    writer, images = _writer(4), torch.randn(2, 8)
    loss = writer.loss(images, torch.from_numpy(rows))
    cut = writer.loss(images, torch.from_numpy(rows[:, :3]))
    torch.testing.assert_close(loss, cut)
    # So do those of the product.
    images_annotations = [
        example(n, words).annotations for n, words in enumerate([("nodule", "left"), ("mass",)])
    ]
    labels = mine(images_annotations, 1)
    assert labels.vocabulary == ("<end>", "mass", "nodule", "left")
    _, rows = encode_sequences(images_annotations, labels, 4)
    assert rows.tolist() == [[2, 3, 0, -1, -1], [1, 0, -1, -1, -1]]


def test_7_the_validation_loss_starts_from_the_image() -> None:
    writer, images = _writer(), torch.randn(4, 8)
    tokens = torch.tensor([[1, 5, 0], [2, 6, 0], [3, 7, 0], [4, 8, 0]])
    own = annotator_loss(writer, images, tokens)
    assert own == pytest.approx(writer.loss(images, tokens).item())
    assert abs(own - annotator_loss(writer, torch.zeros_like(images), tokens)) > 1e-4
    assert abs(own - annotator_loss(writer, images.flip(0), tokens)) > 1e-4


def test_7_the_recorded_validation_loss_is_of_the_val_images(
    trained: PaperModel, parts: tuple[Cases, Cases]
) -> None:
    val = parts[1]
    tokens = trained.vocabulary.encode(val.annotations, LEARNING.steps)
    ill = tokens[:, 0] != 1
    for row in trained.record["rounds"]:
        variant = trained.variants[row["variant"]]
        own = _loss_by_words(variant.annotator, _alone(variant, val)[ill], tokens[ill])
        assert min(epoch["val_loss"] for epoch in row["writer"]) == pytest.approx(own, abs=2e-4)


def test_7_so_is_that_of_the_products_rnn(parts: tuple[Cases, Cases]) -> None:
    cases = dict(zip(("train", "val"), parts, strict=True))
    by_part = {part: [e.annotations for e in rows.examples] for part, rows in cases.items()}
    vectors = {part: rows.inputs for part, rows in cases.items()}
    labels = mine(by_part["train"], 5)
    recipe = Recipe(dimensions=DIMENSIONS, units=16, annotator_epochs=12)
    rnn, history = train_annotator(recipe, labels, by_part, vectors)
    owners, tokens = encode_sequences(by_part["val"], labels, 8)
    images = torch.from_numpy(vectors["val"][owners])
    own, blind = (_loss_by_words(rnn, start, tokens) for start in (images, images * 0))
    assert abs(own - blind) > 0.01
    assert min(epoch["val_loss"] for epoch in history) == pytest.approx(own, abs=3e-4)


def test_8_train_and_val_stay_apart(tmp_path: Path) -> None:
    train, val = planted_cases(60, 1), planted_cases(30, 2)
    shared = replace(val.examples[0], study=train.examples[0].study)
    mixed = replace(val, examples=(shared, *val.examples[1:]))
    with pytest.raises(TrainingError, match="split by study"):
        train_cascade(SHORT, train, mixed, work=tmp_path, device="cpu")
    # With one epoch val has nothing to end, so another val may not change one weight or label.
    once = replace(SHORT, epochs=1, writer_epochs=1)
    # Words that train never says, and an annotation that is commoner than any of train's.
    strange = [example(n, ("opacity", "apex")) for n in range(300, 345)]
    models = [
        train_cascade(once, train, other, work=tmp_path / str(n), device="cpu")
        for n, other in enumerate((val, Cases.of(strange, planted_cases(45, 3).inputs)))
    ]
    for model in models:
        assert model.vocabulary == PaperVocabulary.of(
            a for e in train.examples for a in e.annotations
        )
        assert model.commonest == commonest_annotations(train.examples)
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
    written = [("opacity", "lung"), ("nodule",), ("nodule", "lung", "right")]
    assert bleu(references, written, 3) == 0
    # Pairs: opacity lung, nodule lung are right, lung right is wrong: 2 of 3; words: 4 of 5.
    assert bleu(references, written, 2) == pytest.approx(100 * (4 / 5 * 2 / 3) ** 0.5)


def test_the_evaluation_stands_beside_trivial_answers() -> None:
    words = [("normal",)] * 6 + [("nodule", "lung", "left")] * 2 + [("hernia",)]
    examples = [example(n, line) for n, line in enumerate(words)]
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
