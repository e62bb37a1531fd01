"""The paper's cascade on planted cases, end to end."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.cascade.paper.cases import Cases
from indexer.cascade.paper.classes import CLASSES, class_of, commonest_annotations
from indexer.cascade.paper.model import PaperModel
from indexer.cascade.paper.recipe import RECIPES, PaperRecipe, named
from indexer.cascade.paper.report import write_report
from indexer.cascade.paper.sampling import draw_epoch, normal_share
from indexer.cascade.paper.training import train_cascade
from indexer.errors import BundleError, TrainingError
from tests.cascade.planted import embeddings, example, planted_cases, planted_words

TINY = PaperRecipe(
    name="tiny", backbone="frozen", cells=("gru", "lstm"), epochs=8, learning_rate=0.05,
    features=32, units=32, project=True, dropout=0.1,
    writer_epochs=20, writer_rate=5e-3, writer_batch=16, images_per_label=25, deviations=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> PaperModel:
    work = tmp_path_factory.mktemp("work")
    return train_cascade(
        TINY, planted_cases(240, 1), planted_cases(90, 2), work=work, device="cpu", maps=True
    )


def test_it_learns_the_planted_words(trained: PaperModel) -> None:
    truth = planted_words(150, 3)
    predictions = trained.predict(embeddings(truth, 3))
    assert set(predictions) == {"gru/0", "gru/1", "lstm/0", "lstm/1"}
    for said in predictions.values():
        diseased = [(s, t) for s, t in zip(said, truth, strict=True) if len(t) > 1]
        assert np.mean([s[0] == t[0] for s, t in zip(said, truth, strict=True)]) > 0.85
        for place, chance in ((2, 0.5), (3, 0.5)):
            right = np.mean([t[place] in s for s, t in diseased])
            assert right > chance + 0.25, f"{truth[1][place]}: {right}"


def test_feedback_learns_composite_labels(trained: PaperModel) -> None:
    before, after = trained.variants["gru/0"], trained.variants["gru/1"]
    assert before.labels == before.diseases
    assert len(after.labels) > len(before.labels)
    assert any("left" in name for name in after.labels)
    assert set(after.diseases) == set(before.labels)


def test_a_saved_model_says_the_same(trained: PaperModel, tmp_path: Path) -> None:
    trained.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    again = PaperModel.load(tmp_path)
    inputs = embeddings(planted_words(60, 4), 4)
    one, other = trained.predict(inputs), again.predict(inputs)
    for name in one:
        same = [a == b for a, b in zip(one[name], other[name], strict=True)]
        assert np.mean(same) > 0.95, "half precision may turn a close call"
    text = json.loads(json.dumps(again.description()))
    parts = PaperModel.from_parts(text, again.to_tensors())
    assert parts.predict(inputs) == other


def test_a_model_that_does_not_fit_is_refused(trained: PaperModel, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="reads"):
        trained.predict(np.zeros((2, 5), np.float32))
    with pytest.raises(BundleError, match="cannot be read"):
        PaperModel.from_parts(trained.description(), {})
    with pytest.raises(BundleError, match="another format"):
        PaperModel.from_parts({**trained.description(), "format": 0}, {})
    with pytest.raises(BundleError, match="no cascade"):
        PaperModel.load(tmp_path)


@pytest.mark.parametrize("suffix", [".md", ".html"])
def test_the_report_shows_labels_scores_and_pictures(
    trained: PaperModel, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"report{suffix}"
    rounds = [part for part in trained.record["rounds"] if part["variant"] == "gru/1"]
    record = {**trained.record, "rounds": rounds}
    write_report(path, record, {"other": trained.record}, trained.maps)
    text = path.read_text()
    assert text.count("data:image/png;base64,") == 2, "curves and a map"
    assert all(name in text for name in trained.variants["gru/1"].labels)
    assert "always normal" in text
    assert "other: lstm/1" in text


def test_a_report_of_another_kind_is_refused(trained: PaperModel, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"\.md or \.html"):
        write_report(tmp_path / "report.pdf", trained.record)


def test_an_interrupted_training_ends_alike(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = replace(TINY, cells=("gru",), rounds=0, epochs=3, writer_epochs=2)
    train, val = planted_cases(60, 1), planted_cases(30, 2)
    whole = train_cascade(recipe, train, val, work=tmp_path, device="cpu")
    with caplog.at_level(logging.INFO):
        again = train_cascade(recipe, train, val, work=tmp_path, device="cpu")
    assert "going on after epoch 3 of 3" in caplog.text
    fresh = train_cascade(recipe, train, val, work=tmp_path / "new", device="cpu")
    for name, tensor in whole.to_tensors().items():
        np.testing.assert_array_equal(tensor, again.to_tensors()[name])
        np.testing.assert_array_equal(tensor, fresh.to_tensors()[name])


@pytest.mark.parametrize(
    "change", [{"data_dropout": False}, {"joint": False}, {"rounds": 0}, {"project": False}]
)
def test_every_part_can_be_left_out(change: dict[str, bool], tmp_path: Path) -> None:
    recipe = replace(TINY, cells=("lstm",), epochs=1, writer_epochs=1, **change)  # type: ignore[arg-type]
    model = train_cascade(
        recipe, planted_cases(60, 1), planted_cases(30, 2), work=tmp_path, device="cpu"
    )
    assert len(model.variants) == recipe.rounds + 1


def test_a_cnn_reads_canvases(tmp_path: Path) -> None:
    def cases(count: int, seed: int) -> Cases:
        words = planted_words(count, seed)
        canvases = np.random.default_rng(seed).integers(0, 99, (count, 40, 40), np.uint8)
        for canvas, said in zip(canvases, words, strict=True):
            canvas[:, : 20 if said[0] == "normal" else 0] += 120
        examples = [example(seed * 1000 + n, said) for n, said in enumerate(words)]
        return Cases.of(examples, canvases)

    recipe = replace(
        TINY, backbone="test_resnet", cells=("gru",), size=40, crop=32, epochs=2, writer_epochs=1
    )
    model = train_cascade(recipe, cases(48, 1), cases(24, 2), work=tmp_path, device="cpu")
    model.save(tmp_path / "model")
    said = PaperModel.load(tmp_path / "model").predict(cases(12, 3).inputs)
    assert set(said) == {"gru/0", "gru/1"}
    assert all(line[0] in CLASSES for lines in said.values() for line in lines)


def test_an_image_belongs_to_a_class_by_its_whole_pattern() -> None:
    opacity = example(0, ("opacity", "lung"))
    both = replace(opacity, annotations=opacity.annotations + example(1, ("nodule",)).annotations)
    twice = replace(opacity, annotations=opacity.annotations * 2)
    assert [class_of(e) for e in (opacity, twice, both)] == ["opacity", "opacity", None]
    assert class_of(example(2, ("hernia",))) is None
    assert len(CLASSES) == len(set(CLASSES)) == 17


def test_the_commonest_annotation_of_each_class() -> None:
    said = [("nodule", "left"), ("nodule", "right"), ("nodule", "right"), ("normal",)]
    examples = [example(n, words) for n, words in enumerate(said)]
    assert commonest_annotations(examples) == {
        "nodule": ("nodule", "right"),
        "normal": ("normal",),
    }


def test_data_dropout_balances_an_epoch() -> None:
    labels = np.repeat([0, 1, 2], [1000, 50, 10])
    assert normal_share(labels, 0) == pytest.approx(0.2)
    rows = draw_epoch(labels, 0, seed=0, epoch=0)
    counts = np.bincount(labels[rows])
    assert 150 < counts[0] < 250
    assert counts[1] == counts[2] == counts[0]
    assert len(np.unique(rows[labels[rows] == 0])) == counts[0], "no normal image comes twice"
    assert set(rows[labels[rows] != 0]) == set(range(1000, 1060)), "every other image comes"


def test_epochs_differ_and_are_repeatable() -> None:
    labels = np.repeat([0, 1], [100, 10])
    one, same, other = (draw_epoch(labels, 0, seed=1, epoch=e) for e in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert set(one) != set(other)
    assert sorted(draw_epoch(labels, 0, seed=1, epoch=3, data_dropout=False)) == [*range(110)]


def test_recipes_have_their_own_names() -> None:
    assert all(recipe.name == name for name, recipe in RECIPES.items())
    assert named("paper-lstm-googlenet").full().epochs == 100
    with pytest.raises(TrainingError, match="no recipe"):
        named("none")
