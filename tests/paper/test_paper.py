"""The paper's cascade on planted cases, end to end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from indexer.errors import BundleError, TrainingError
from indexer.learning.second_cascade import Embedded
from indexer.paper.cases import Cases
from indexer.paper.classes import CLASSES, commonest_annotations, paper_class
from indexer.paper.model import PaperModel
from indexer.paper.networks import PaperAnnotator
from indexer.paper.recipe import RECIPES, PaperRecipe, named
from indexer.paper.report import write_report
from indexer.paper.training.cascade import train_cascade
from indexer.paper.training.in_bundle import train_in_bundle
from indexer.paper.training.sampling import draw_epoch, normal_share
from tests.training.planted import embeddings, example, planted_cases, planted_words

TINY = PaperRecipe(
    name="tiny", backbone="frozen", cells=("gru", "lstm"), epochs=8, learning_rate=0.05,
    features=32, units=32, project=True, dropout=0.1,
    writer_epochs=20, writer_rate=5e-3, writer_batch=16, images_per_label=25, deviations=0.0,
)  # fmt: skip

_NETWORKS = ("classifier", "writer")


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
    for written in predictions.values():
        diseased = [(s, t) for s, t in zip(written, truth, strict=True) if len(t) > 1]
        assert np.mean([s[0] == t[0] for s, t in zip(written, truth, strict=True)]) > 0.85
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


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums are alike to the last bit where one thread makes them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _strangers(count: int, seed: int) -> Cases:
    """Images that show something else than is said of them: the more is learned, the worse."""
    words = planted_words(count, seed)
    examples = [example(seed * 10_000 + n, line) for n, line in enumerate(words)]
    return Cases.of(examples, embeddings([*words[1:], words[0]], seed))


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("val", [planted_cases(30, 2), _strangers(30, 2)], ids=["better", "worse"])
@pytest.mark.parametrize("saves", [1, 3])
def test_a_training_that_is_interrupted_again_and_again_ends_alike(
    val: Cases, saves: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A third of five epochs is two, so the rate falls after the second and the fourth.
    recipe = replace(TINY, cells=("gru",), epochs=5, writer_epochs=5, patience=3)
    train = planted_cases(60, 1)
    whole = train_cascade(recipe, train, val, work=tmp_path / "whole", device="cpu")
    save, left = torch.save, 0

    def failing_save(state: object, path: Path) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            path.write_bytes(b"half a checkpoint")
            raise KeyboardInterrupt
        save(state, path)

    monkeypatch.setattr(torch, "save", failing_save)
    breaks, broken = 0, None
    while broken is None:
        left = saves
        try:
            broken = train_cascade(recipe, train, val, work=tmp_path / "broken", device="cpu")
        except KeyboardInterrupt:
            breaks += 1
    epochs = sum(len(row[part]) for row in whole.record["rounds"] for part in _NETWORKS)
    assert breaks == (epochs - 1) // saves
    assert broken.record["rounds"] == whole.record["rounds"]
    for name, tensor in whole.to_tensors().items():
        np.testing.assert_array_equal(tensor, broken.to_tensors()[name])
    ends = [
        {path.name: torch.load(path) for path in (tmp_path / name).glob("*.pt")}
        for name in ("whole", "broken")
    ]
    torch.testing.assert_close(ends[1], ends[0], rtol=0, atol=0)


@pytest.mark.parametrize("patience", [1, 3])
def test_a_network_stops_when_val_gets_no_better(patience: int, tmp_path: Path) -> None:
    recipe = replace(TINY, cells=("gru",), rounds=0, epochs=40, writer_epochs=40, patience=patience)
    model = train_cascade(
        recipe, planted_cases(60, 1), _strangers(30, 2), work=tmp_path, device="cpu"
    )
    for part in _NETWORKS:
        losses = [row["val_loss"] for row in model.record["rounds"][0][part]]
        assert len(losses) == int(np.argmin(losses)) + 1 + patience < 40


def test_a_full_schedule_ends_early_for_nothing(tmp_path: Path) -> None:
    assert all(recipe.full().patience is None for recipe in RECIPES.values())
    recipe = replace(TINY, cells=("gru",), rounds=0, writer_epochs=30, patience=1).full()
    val = _strangers(30, 2)
    model = train_cascade(recipe, planted_cases(60, 1), val, work=tmp_path, device="cpu")
    (row,), variant = model.record["rounds"], model.variants["gru/0"]
    assert [len(row[part]) for part in _NETWORKS] == [100, 30]
    # The epoch that is kept is still the best one, long before the last.
    with torch.inference_mode():
        _, chances = variant.embed(torch.from_numpy(val.inputs))
    own = -chances.numpy()[np.arange(30), val.classes]
    kept = np.mean([own[val.classes == c].mean() for c in np.unique(val.classes)])
    losses = [epoch["val_loss"] for epoch in row["classifier"]]
    assert min(losses) == pytest.approx(kept, abs=1e-4)
    assert losses[-1] > min(losses) + 0.01


@pytest.mark.parametrize("clusters", [3, 4])
def test_a_recipe_may_fix_the_number_of_clusters(clusters: int, tmp_path: Path) -> None:
    recipe = replace(TINY, cells=("gru",), epochs=2, writer_epochs=2, clusters=clusters)
    model = train_cascade(
        recipe, planted_cases(60, 1), planted_cases(30, 2), work=tmp_path, device="cpu"
    )
    diseases = model.variants["gru/1"].diseases
    assert [diseases.count(d) for d in ("normal", "opacity", "nodule")] == [1, clusters, clusters]


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("project", [False, True])
def test_the_state_of_every_layer_starts_as_the_image(
    cell: Literal["gru", "lstm"], project: bool
) -> None:
    torch.manual_seed(0)
    writer = PaperAnnotator(8, 12, cell, 8, 3, project).eval()
    images = torch.randn(2, 8)
    state = writer.initial_state(images)
    assert len(state) == (1 if cell == "gru" else 2)
    for part in state:
        assert part.shape == (3, 2, 8)
        for layer in part:
            if project:
                assert (layer[0] - layer[1]).abs().max() > 0.1
            else:
                torch.testing.assert_close(layer, images)
    # Each layer's is felt in what is written, whatever the other layers start as.
    words = torch.tensor([[1], [1]])
    for layer in range(3):
        changed = tuple(part.clone() for part in state)
        for part in changed:
            part[layer] = part[layer].flip(0)
        one, other = (writer.step(words, start)[0] for start in (state, changed))
        assert (one - other).abs().max() > 1e-3


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
        for canvas, written in zip(canvases, words, strict=True):
            canvas[:, : 20 if written[0] == "normal" else 0] += 120
        examples = [example(seed * 1000 + n, written) for n, written in enumerate(words)]
        return Cases.of(examples, canvases)

    recipe = replace(
        TINY, backbone="test_resnet", cells=("gru",), size=40, crop=32, epochs=2, writer_epochs=1
    )
    model = train_cascade(recipe, cases(48, 1), cases(24, 2), work=tmp_path, device="cpu")
    model.save(tmp_path / "model")
    written = PaperModel.load(tmp_path / "model").predict(cases(12, 3).inputs)
    assert set(written) == {"gru/0", "gru/1"}
    assert all(line[0] in CLASSES for lines in written.values() for line in lines)


def test_an_image_belongs_to_a_class_by_its_whole_pattern() -> None:
    opacity = example(0, ("opacity", "lung"))
    both = replace(opacity, annotations=opacity.annotations + example(1, ("nodule",)).annotations)
    twice = replace(opacity, annotations=opacity.annotations * 2)
    assert [paper_class(e) for e in (opacity, twice, both)] == ["opacity", "opacity", None]
    assert paper_class(example(2, ("hernia",))) is None
    assert len(CLASSES) == len(set(CLASSES)) == 17


def test_the_commonest_annotation_of_each_class() -> None:
    lines = [("nodule", "left"), ("nodule", "right"), ("nodule", "right"), ("normal",)]
    examples = [example(n, words) for n, words in enumerate(lines)]
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


def test_a_bundle_without_images_of_the_classes_has_no_cascade(tmp_path: Path) -> None:
    cases = {"train": planted_cases(12, 1), "val": planted_cases(6, 2)}
    parts = {
        name: Embedded(rows.examples, rows.inputs, np.zeros((len(rows.examples), 1), np.float32))
        for name, rows in cases.items()
    }
    hernia = example(0, ("hernia",))
    parts["val"] = replace(parts["val"], examples=[hernia] * len(cases["val"].examples))
    assert train_in_bundle(parts, ["normal"], tmp_path, "cpu") is None
    assert list(tmp_path.iterdir()) == []
