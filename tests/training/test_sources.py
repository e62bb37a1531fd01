"""Training from several data sets: what is unknown teaches nothing, and a bundle may go on."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from indexer.annotation import Annotation
from indexer.cascade.bundle import Bundle
from indexer.cascade.networks.encoder import EnsembleMember, Outputs
from indexer.datasets.example import Example
from indexer.datasets.mining import mine
from indexer.datasets.targets import KnownTargets
from indexer.errors import TrainingError
from indexer.paper.loading import Cascade
from indexer.paper.training.in_bundle import train_in_bundle
from indexer.training.assembly import TrainedMember, teach
from indexer.training.cnn.member import Validation
from indexer.training.cnn.packed import train_packed
from indexer.training.cnn.supervision import Supervision
from indexer.training.recipe import Recipe
from indexer.training.sources import LabelName, Sources, Start
from indexer.training.training import pack_first, train
from tests.training.planted import planted_folder

RECIPE = Recipe(
    name="several", size=64, crop=56, min_images=5, epochs=2, batch_size=16, annotator_epochs=2,
    dimensions=16, units=16, backbones=("test_efficientnet",), pretrained=False, feedback=0,
    text_weight=0.0,
)  # fmt: skip


def _pictures(folder: Path, names: list[str]) -> None:
    rng = np.random.default_rng(len(names))
    (folder / "images").mkdir(parents=True)
    for name in names:
        pixels = rng.integers(0, 255, (64, 64), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{name}.png")


def _table(path: Path, rows: list[list[Any]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Annotated films, films with labels, and pictures with captions."""
    root = tmp_path_factory.mktemp("sources")
    annotated = planted_folder(root / "annotated", {"train": 48, "val": 24})
    names = [f"film{n}" for n in range(60)]
    _pictures(root / "labelled", names)
    labels = ("No Finding", "Nodule", "Cardiomegaly|Nodule", "")
    rows = [[n, k // 2, labels[k % 4], "PA", "M", 50] for k, n in enumerate(names)]
    _table(
        root / "labelled" / "images.csv",
        [["image", "patient", "labels", "view", "sex", "age"], *rows],
    )
    names = [f"figure{n}" for n in range(40)]
    _pictures(root / "captioned", names)
    captions = ("Chest radiograph with a nodule in the left lung.", "Chest X-ray on admission.")
    _table(
        root / "captioned" / "captions.csv",
        [["image", "caption"], *([n, captions[k % 2]] for k, n in enumerate(names))],
    )
    return [annotated, root / "labelled", root / "captioned"]


@pytest.fixture(scope="module")
def started(folders: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of the annotated films alone."""
    root = tmp_path_factory.mktemp("start")
    return train(folders[0], root / "bundle", RECIPE, work=root / "work", device="cpu")


def test_what_is_unknown_has_no_gradient() -> None:
    nodule = Annotation.from_words("human", "nodule", ("left",))
    opacity = Annotation.from_words("human", "opacity", ())
    full = [Example(f"f{n}", Path(), f"f{n}", "frontal", (nodule, opacity)) for n in range(3)]
    labelled = Example("t", Path(), "t", None, (), findings={"nodule": 0.1}, others=None)
    captioned = Example("c", Path(), "c", None, (opacity,), ("An opacity.",), others=None)
    bare = Example("b", Path(), "b", None, (), others=None)
    examples = [*full, labelled, captioned, bare]
    labels = mine([e.annotations for e in full], 1)
    taught = Supervision.of(examples, labels, text=False)
    logits = torch.zeros(len(examples), labels.scored, requires_grad=True)
    view = torch.zeros(len(examples), requires_grad=True)
    outputs = Outputs(torch.zeros(6, 4), logits, view, torch.zeros(6, 0))
    taught.loss(outputs, torch.arange(6), 0.0).backward()
    assert logits.grad is not None
    assert view.grad is not None
    columns = {name: n for n, name in enumerate([*labels.findings, *labels.pairs])}
    learnt = logits.grad != 0
    assert learnt[:3].all()
    of_labelled = {columns["nodule"], columns["nodule", "left"]}
    assert set(learnt[3].nonzero().flatten().tolist()) == of_labelled, "its own label, and softly"
    assert set(learnt[4].nonzero().flatten().tolist()) == {columns["opacity"]}
    assert not learnt[5].any()
    assert (view.grad[3:] == 0).all()
    assert (view.grad[:3] != 0).all()


def test_a_teacher_tells_what_is_unknown_and_nothing_else() -> None:
    nodule = Annotation.from_words("human", "nodule", ())
    opacity = Annotation.from_words("human", "opacity", ())
    full = Example("f", Path(), "f", "frontal", (nodule,))
    bare = Example("b", Path(), "b", None, (), others=None)
    labels = mine([[nodule], [opacity]], 1)
    taught = Supervision.of([full, bare], labels, text=False).taught_by(
        torch.full((2, 2), 0.7), torch.tensor([0.25, 0.0])
    )
    assert taught.labels[0].tolist() == [1, 0]
    assert taught.labels[1].tolist() == pytest.approx([0.7, 0.7])
    assert taught.weight.tolist() == [[1, 1], [0.25, 0]]


def test_several_sources_make_one_bundle(
    folders: list[Path], started: Bundle, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, frozen=1, strong=True)
    bundle = train(
        folders,
        tmp_path / "new",
        recipe,
        work=tmp_path / "work",
        device="cpu",
        start=started.path,
        second=train_in_bundle,
    )
    record = bundle.record
    assert record["start"] == started.hash
    assert len(record["sources"]) == 3
    assert "val_by_source" not in record["members"][0][0], "one source alone has labels to judge by"
    assert bundle.findings == started.findings, "mined from what people annotated fully"
    assert bundle.borders
    before, after = (
        b.weights()["encoder.members.0.backbone.conv_stem.weight"] for b in (started, bundle)
    )
    np.testing.assert_array_equal(before, after)
    name = "encoder.members.0.backbone.conv_head.weight"
    assert not np.array_equal(started.weights()[name], bundle.weights()[name])
    assert set(bundle.likely or {}) <= set(bundle.findings)
    assert started.paper is None
    cascade = Cascade.load(bundle.path)
    assert cascade.point is not None
    assert cascade.record == record["paper"]
    vectors = np.eye(16, dtype=np.float32)
    assert {len(words) for words in cascade.model.predict(vectors).values()} == {16}


def test_an_interrupted_training_of_several_goes_on(
    folders: list[Path], started: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(name: str) -> str:
        work = tmp_path / f"{name}.work"
        place = tmp_path / name
        return train(folders, place, RECIPE, work=work, device="cpu", start=started.path).hash

    whole = run("whole")
    judge, calls = Validation.score, 0

    def score(self: Validation, *rest: Any) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return judge(self, *rest)

    monkeypatch.setattr(Validation, "score", score)
    with pytest.raises(KeyboardInterrupt):
        run("broken")
    assert run("broken") == whole


def test_without_an_epoch_the_cnns_stay_as_they_were(
    folders: list[Path], started: Bundle, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, epochs=0)
    bundle = train(
        folders, tmp_path / "same", recipe, work=tmp_path / "work", device="cpu", start=started.path
    )
    # Heads are calibrated anew, and the paper's cascade, which has backbones too, is no CNN.
    before = {
        name: value
        for name, value in started.weights().items()
        if name.startswith("encoder.members.") and ".head." not in name
    }
    assert sum(".backbone." in name for name in before) > 80
    after = bundle.weights()
    for name, value in before.items():
        np.testing.assert_array_equal(value, after[name], err_msg=name)


def test_a_cnn_is_kept_beside_one_that_ends_half_way(
    folders: list[Path], started: Bundle, tmp_path: Path
) -> None:
    def trained(name: str, **changes: Any) -> dict[str, np.ndarray[Any, Any]]:
        recipe = replace(RECIPE, **changes)
        return train(
            folders, tmp_path / name, recipe, work=tmp_path, device="cpu", start=started.path
        ).weights()

    name = "encoder.members.{}.backbone.conv_head.weight"
    start = started.weights()[name.format(0)].astype(np.float32)
    whole = trained("whole")[name.format(0)].astype(np.float32)
    pair = trained("half", backbones=RECIPE.backbones * 2, kept=1, interpolation=0.5)
    half, kept = (pair[name.format(n)].astype(np.float32) for n in range(2))
    np.testing.assert_array_equal(kept, start)
    assert abs(whole - start).max() > 2e-3
    np.testing.assert_allclose(half, (start + whole) / 2, atol=3e-4)


def test_a_bundle_of_other_networks_is_no_start(
    folders: list[Path], started: Bundle, tmp_path: Path
) -> None:
    for change, message in (
        ({"backbones": ("test_resnet",)}, "has the CNNs test_efficientnet"),
        ({"dimensions": 8}, "an embedding of 16, the recipe of 8"),
    ):
        with pytest.raises(TrainingError, match=message):
            train(folders, tmp_path, replace(RECIPE, **change), work=tmp_path, start=started.path)


def test_pictures_alone_need_a_teacher(folders: list[Path], tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    names = [f"film{n}" for n in range(30)]
    _pictures(bare, names)
    heads = ["image", "patient", "labels", "view", "sex", "age"]
    _table(bare / "images.csv", [heads, *([n, "", "", "PA", "M", 50] for n in names)])
    with pytest.raises(TrainingError, match="nothing is known of any image"):
        Sources.load([folders[0], bare], RECIPE, tmp_path / "work")


def test_films_of_rare_labels_are_drawn_more_often(folders: list[Path], tmp_path: Path) -> None:
    sources = Sources.load(folders, RECIPE, tmp_path / "work")
    weight = sources.draw_weight()
    own = sources.source["train"] == 1
    assert (weight[~own] == 1).all()
    assert weight[own].mean() == pytest.approx(1)
    rows = [e for e, mine in zip(sources.examples["train"], own, strict=True) if mine]
    rare = np.array([e.findings.get("cardiomegaly") == 1 for e in rows])
    assert weight[own][rare].mean() > weight[own][~rare].mean()


class _Bright(torch.nn.Module):
    """Calls bright pictures lateral."""

    def forward(self, pictures: torch.Tensor) -> Outputs:
        view = pictures.float().mean((1, 2, 3)) - 100
        return Outputs(view[:, None], view[:, None], view, view[:, None])


def test_views_that_nobody_told_are_not_judged() -> None:
    canvases = np.repeat([200, 200, 0, 0], 64).astype(np.uint8).reshape(4, 8, 8)
    known = KnownTargets(np.array([[1], [0], [1], [0]], np.float32), np.ones((4, 1), bool))
    device = torch.device("cpu")
    for lateral, share in (([1, 0, np.nan, np.nan], 0.5), ([np.nan] * 4, None)):
        views = np.array(lateral, np.float32)
        judge = Validation(canvases, known, views, np.zeros(4, np.int64), ("set",))
        assert judge.score(_Bright(), device)["val_view_accuracy"] == share


def test_a_head_learns_alone() -> None:
    torch.manual_seed(0)
    member = EnsembleMember("test_resnet", 8, 1).eval()
    embedding = torch.nn.functional.normalize(torch.randn(200, 8), dim=1)
    outputs = Outputs(embedding, torch.zeros(200, 1), torch.zeros(200), torch.zeros(200, 0))
    trained = TrainedMember(member, {"train": outputs}, np.array([0]))
    targets = (embedding[:, :1] > 0).float().numpy()
    goals = KnownTargets(targets, np.ones(targets.shape, bool))
    taught = teach(trained, goals, np.array([1]), np.arange(200))
    assert taught.columns.tolist() == [0, 1]
    logits = taught.member.head(embedding * 8**0.5)
    torch.testing.assert_close(logits[:, 0], member.head(embedding * 8**0.5)[:, 0])
    assert float(((logits[:, 1] > 0) == torch.from_numpy(targets[:, 0] > 0)).float().mean()) > 0.95


def test_a_bundle_puts_its_scores_into_a_new_head(started: Bundle) -> None:
    start = Start(started)
    names: list[LabelName] = [*started.findings, *started.labels.pairs]
    turned = names[::-1]
    one, other = (EnsembleMember("test_efficientnet", 16, len(names)) for _ in range(2))
    start.put_into(one, 0, names)
    start.put_into(other, 0, turned)
    torch.testing.assert_close(one.head.weight, other.head.weight.flip(0))
    torch.testing.assert_close(one.head.bias, other.head.bias.flip(0))


def test_a_cnn_is_trained_on_another_machine(
    folders: list[Path], started: Bundle, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, frozen=1, strong=True, text_weight=1.0, interpolation=0.5)
    work, packed = tmp_path / "work", tmp_path / "packed.zip"
    pack_first(folders, packed, recipe, work=work, device="cpu", start=started.path)
    for text in (b"Chest radiograph", b"film1", b"figure1"):
        assert text not in packed.read_bytes(), "no text and no name travels"
    finished = train_packed(packed, tmp_path / "there", start=started.path, device="cpu")
    assert not list(work.glob("cnn-*"))
    (work / finished.name).write_bytes(finished.read_bytes())
    bundle = train(folders, tmp_path / "new", recipe, work=work, device="cpu", start=started.path)
    name = "backbone.conv_head.weight"
    with safe_open(finished, "np") as file:
        np.testing.assert_array_equal(
            bundle.weights()[f"encoder.members.0.{name}"], file.get_tensor(name).astype(np.float16)
        )
        history = json.loads(file.metadata()["history"])
    assert bundle.record["members"][0] == history
    assert len(history) == recipe.epochs
    assert not list(work.glob("member-*")), "nothing was trained here"
    with pytest.raises(TrainingError, match="starts from the bundle"):
        train_packed(packed, tmp_path / "other", device="cpu")
    packed.write_bytes(packed.read_bytes()[:-100])
    with pytest.raises(TrainingError, match="is no packed training"):
        train_packed(packed, tmp_path / "other", start=started.path, device="cpu")
    (work / finished.name).write_bytes(b"{}")
    with pytest.raises(TrainingError, match="is no CNN of this training"):
        train(folders, tmp_path / "x", recipe, work=work, device="cpu", start=started.path)
