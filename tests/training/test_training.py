"""A tiny cascade, trained end to end on pictures with a known truth."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from indexer.annotation import Annotation, WordKind
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.interpretation.certainty import UNUSUAL
from indexer.cascade.reading import Predictor
from indexer.cascade.text_space import COMMON, TextSpace
from indexer.errors import BundleError, TrainingError
from indexer.learning.augmentation import augment
from indexer.training.cnn.member import Validation
from indexer.training.interpretation.unusual import spoilt
from indexer.training.recipe import Recipe
from indexer.training.training import train
from indexer.words.sentences import encode

# The training that all share counts for the first test that asks for it.
pytestmark = pytest.mark.timeout(1500)

Canvases: TypeAlias = npt.NDArray[np.uint8]

REPORT = """<?xml version="1.0"?><eCitation><uId id="CXR{uid}"/>
<Article><Abstract><AbstractText Label="FINDINGS">Simulated.</AbstractText></Abstract></Article>
<MeSH>{terms}</MeSH><parentImage id="{image}"/></eCitation>"""
# Location, side and severity of an opacity.
PLANTED = tuple(product(("apex", "base"), ("left", "right"), ("mild", "severe")))
IMAGES, TRAIN = 660, 540
OPACITIES = TRAIN * 2 // 3


def _picture(
    rng: np.random.Generator, planted: tuple[str, str, str] | None
) -> npt.NDArray[np.uint8]:
    """Noise, with a bright square as large, and where, as an opacity is."""
    pixels = rng.normal(90, 20, (64, 64))
    if planted:
        location, side, severity = planted
        x, y = 48 if side == "left" else 16, 48 if location == "base" else 16
        half = 7 if severity == "mild" else 13
        x, y = x + int(rng.integers(-3, 4)), y + int(rng.integers(-3, 4))
        pixels[y - half : y + half, x - half : x + half] += 120
    return pixels.clip(0, 255).astype(np.uint8)


def _pictures(seed: int, planted: tuple[str, str, str] | None, count: int = 12) -> Canvases:
    rng = np.random.default_rng(seed)
    return np.stack([_picture(rng, planted) for _ in range(count)])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    (folder / "images").mkdir()
    (folder / "ecgen-radiology").mkdir()
    rng = np.random.default_rng(0)
    with (folder / "images.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image_id", "uid", "projection", "split"])
        for uid in range(IMAGES):
            planted = PLANTED[uid // 3 % len(PLANTED)] if uid % 3 else None
            image = f"CXR{uid}_IM-0001-1001"
            Image.fromarray(_picture(rng, planted)).save(folder / "images" / f"{image}.png")
            term = "/".join(("Opacity", "lung", *planted)) if planted else "normal"
            report = REPORT.format(uid=uid, image=image, terms=f"<major>{term}</major>")
            (folder / "ecgen-radiology" / f"{uid}.xml").write_text(report)
            table.writerow([image, uid, "frontal", "train" if uid < TRAIN else "val"])
    return folder


RECIPE = Recipe(
    name="tiny", size=64, crop=56, min_images=5, epochs=8, batch_size=16, annotator_epochs=200,
    learning_rate=2e-3, dimensions=32, units=64,
    backbones=("tf_efficientnet_lite0",) * 2, images_per_label=120,
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    report = folder / "report.md"
    return train(
        dataset, folder / "tiny", RECIPE, work=folder / "work", device="cpu", report=report
    )


def test_it_learns_the_planted_finding_and_its_words(trained: Bundle) -> None:
    runtime = Predictor(trained, Compute(device="cpu"))
    normal = [r.annotations[0].disease for r in runtime.read(_pictures(1, None, 24))]
    assert np.mean([disease == "normal" for disease in normal]) > 0.5, "chance is 0.33"
    found = {planted: runtime.read(_pictures(1, planted)) for planted in PLANTED}
    written = [(r.annotations[0], truth) for truth, readings in found.items() for r in readings]
    assert np.mean([a.disease == "opacity" for a, _ in written]) > 0.9, "chance is 0.67"
    kinds: tuple[WordKind, ...] = ("location", "side", "severity")
    for place, kind in enumerate(kinds):
        right = [a.of_kind(kind) == (truth[place],) for a, truth in written]
        assert np.mean(right) > 0.7, f"chance of the {kind} is 0.5"


def test_its_second_cnn_learned_composite_labels(trained: Bundle) -> None:
    names = trained.labels.composites
    assert len(names) == len(set(names)) == OPACITIES // RECIPE.images_per_label
    assert all(name.startswith("opacity, ") for name in names)
    assert sum(trained.record["composites"].values()) == OPACITIES, "every opacity carries one"
    before, after = trained.record["rounds"]
    assert (before["cnns"], before["composites"]) == (1, 0)
    assert (after["cnns"], after["composites"]) == (2, len(names))
    assert min(before["val_mean_auc"], after["val_mean_auc"]) > 0.9, "chance is 0.5"
    # It tells them apart: pictures of one annotation get one label, others another.
    first = len(trained.labels.findings) + len(trained.labels.pairs)
    chosen = []
    for planted in PLANTED:
        scores = (
            Predictor(trained, Compute(device="cpu"))
            .encode(_pictures(4, planted))
            .logits[:, first:]
        )
        chosen.append(np.bincount(scores.argmax(1), minlength=len(names)))
    shares = np.array(chosen) / np.sum(chosen, axis=1, keepdims=True)
    assert shares.max(1).mean() > 0.8, "chance is about 0.5"
    assert len(set(shares.argmax(1))) > 1


def test_it_tells_films_from_what_is_none(trained: Bundle) -> None:
    shares = dict(trained.record["unusual"])
    kinds = {spoil.__name__.lstrip("_") for spoil in spoilt()}
    (films,) = (shares.pop(name) for name in set(shares) - kinds)
    assert films <= 0.01
    # Turned or inverted, these pictures look like others of them.
    assert min(shares["noise"], shares["detail"]) > 0.5
    runtime = Predictor(trained, Compute(device="cpu"))
    flat = np.full((2, 64, 64), 90, np.uint8)
    assert all(r.unusual > UNUSUAL and not r.annotations for r in runtime.read(flat))


def test_its_report_shows_rounds_labels_map_and_curves(trained: Bundle) -> None:
    report = (trained.path.parent / "report.md").read_text()
    assert report.startswith("# Training of tiny\n")
    first, last = trained.record["rounds"]
    for row in (first, last):
        assert f"| {row['cnns']} | {row['composites']} | {row['val_mean_auc']} |" in report
    sizes = trained.record["composites"]
    assert set(sizes) == set(trained.labels.composites)
    for label, size in sizes.items():
        assert f"| {label} | {size} |" in report
    assert report.count("](data:image/png;base64,") == 4


def test_it_places_pictures_beside_their_annotation(trained: Bundle) -> None:
    runtime = Predictor(trained, Compute(device="cpu"))
    texts = [Annotation.from_words("human", "opacity", ["lung", *words]).text for words in PLANTED]
    phrases = encode(texts)
    right = []
    for number, planted in enumerate(PLANTED):
        readings = runtime.read(_pictures(3, planted))
        fits = TextSpace.of(trained).likeness(phrases, np.stack([r.embedding for r in readings]))
        right.append(fits.argmax(0) == number)
    assert np.mean(right) > 0.4, "chance is 0.125"
    assert np.linalg.norm(trained.weights()[COMMON]) > 0.1, "what the annotations share"
    shares = trained.record["towers"]
    (start,), (end,) = (shares[when].values() for when in ("before", "after"))
    assert start.keys() == {"annotations", "texts"}
    assert all(end[kind] <= share for kind, share in start.items())
    assert (TextSpace.of(trained).text_map is None) == (start == end)


def test_a_reading_does_not_depend_on_its_batch(trained: Bundle) -> None:
    canvases = _pictures(2, PLANTED[0], 40)
    runtime = Predictor(trained, Compute(device="cpu"), batch_size=16)
    whole = runtime.read(canvases)
    parts = [
        reading
        for part in (slice(7), slice(7, 30), slice(30, 40))
        for reading in runtime.read(canvases[part])
    ]
    for one, other in zip(whole, parts, strict=True):
        assert one.to_json() == other.to_json()
        np.testing.assert_allclose(one.embedding, other.embedding, atol=1e-4)


SHORT = Recipe(
    name="short", size=64, crop=56, min_images=5, epochs=3, annotator_epochs=1,
    backbones=("tf_efficientnet_lite0",),
)  # fmt: skip


@pytest.mark.parametrize("areas", [(0.5, 0.6, 0.7), (0.7, 0.6, 0.5)], ids=["rising", "falling"])
def test_an_interrupted_training_goes_on(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, areas: tuple[float, ...]
) -> None:
    judged = 0
    break_at = 0

    def score(*_: object) -> dict[str, float]:
        nonlocal judged
        judged += 1
        if judged == break_at:
            raise KeyboardInterrupt
        epoch = (judged - 1 - (break_at > 0 and judged > break_at)) % SHORT.epochs
        return {"val_mean_auc": areas[epoch], "val_view_accuracy": 1.0}

    monkeypatch.setattr(Validation, "score", score)

    def run(name: str) -> Bundle:
        return train(
            dataset, tmp_path / name, SHORT, work=tmp_path / f"{name}.work", device="cpu", limit=64
        )

    whole = run("whole")
    judged, break_at = 0, 3
    with pytest.raises(KeyboardInterrupt):
        run("broken")
    broken = run("broken")
    assert judged == 4, "two epochs, the one that was interrupted, and that one again"
    assert broken.hash == whole.hash
    assert [row["val_mean_auc"] for row in broken.record["members"][0]] == list(areas)


def test_the_epoch_that_does_best_on_val_is_kept(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(name: str, epochs: int, *areas: float) -> dict[str, npt.NDArray[Any]]:
        left = list(areas)
        monkeypatch.setattr(
            Validation,
            "score",
            lambda *_: {"val_mean_auc": left.pop(0), "val_view_accuracy": 1.0},
        )
        bundle = train(
            dataset,
            tmp_path / name,
            replace(SHORT, epochs=epochs),
            work=tmp_path / f"{name}.work",
            device="cpu",
            limit=64,
        )
        stem = "encoder.members.0.backbone.conv_stem.weight"
        return {name: value for name, value in bundle.weights().items() if name == stem}

    first, last = run("first", 2, 0.7, 0.5), run("last", 2, 0.5, 0.7)
    for name, value in first.items():
        assert not np.array_equal(value, last[name])


def test_two_data_sets_may_share_a_work_folder(dataset: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(dataset, other)
    for path in (other / "images").iterdir():
        with Image.open(path) as picture:
            turned = picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        turned.save(path)
    recipe = replace(SHORT, epochs=1)

    def run(source: Path, work: str) -> str:
        place = tmp_path / f"{source.name}-{work}"
        return train(source, place, recipe, work=tmp_path / work, device="cpu", limit=64).hash

    run(dataset, "shared")
    assert run(other, "shared") == run(other, "own")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbones": ("no_such_net",)}, "no network is named 'no_such_net'"),
        ({"backbones": ("densenet121",)}, "no ImageNet weights for 'densenet121'"),
        ({"weights": "nothing.pt"}, "no weights at nothing.pt"),
    ],
)
def test_what_cannot_start_is_refused_before_anything_is_read(
    dataset: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        train(dataset, tmp_path / "out", replace(SHORT, **change), work=tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_a_study_in_both_parts_is_refused(dataset: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(dataset, mixed)
    table = mixed / "images.csv"
    rows = table.read_text().splitlines()
    name, _, *rest = rows[-1].split(",")
    table.write_text("\n".join([*rows[:-1], ",".join([name, "0", *rest])]) + "\n")
    with pytest.raises(TrainingError, match=r"1 studies are in train and val .*split by study"):
        train(mixed, tmp_path / "out", SHORT, work=tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_augmentation_never_mirrors() -> None:
    import torch

    canvas = torch.zeros(200, 64, 64, dtype=torch.uint8)
    canvas[:, :, 40:] = 255
    pictures = augment(canvas, 56, torch.Generator().manual_seed(0))
    left, right = pictures[..., :20].mean((1, 2, 3)), pictures[..., -20:].mean((1, 2, 3))
    assert bool((right > left).all())


def test_a_data_set_without_its_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="is no data set that is known"):
        train(tmp_path, tmp_path / "out", RECIPE, work=tmp_path / "work")


def test_a_damaged_bundle_is_refused(trained: Bundle, tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_bytes((trained.path / "bundle.json").read_bytes())
    weights = bytearray((trained.path / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "weights.safetensors").write_bytes(weights)
    with pytest.raises(BundleError, match="damaged"):
        Bundle.load(tmp_path)


def test_no_bundle_is_a_plain_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle at"):
        Bundle.load(tmp_path / "nowhere")
