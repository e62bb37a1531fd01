"""A tiny cascade, trained end to end on pictures with a known truth."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from indexer.cascade.augmentation import augment
from indexer.cascade.bundle import Bundle
from indexer.cascade.recipe import Recipe
from indexer.cascade.runtime import Runtime
from indexer.cascade.sentences import encode
from indexer.cascade.training import train
from indexer.errors import BundleError, TrainingError

REPORT = """<?xml version="1.0"?><eCitation><uId id="CXR{uid}"/>
<Article><Abstract><AbstractText Label="FINDINGS">Simulated.</AbstractText></Abstract></Article>
<MeSH>{terms}</MeSH><parentImage id="{image}"/></eCitation>"""
SIDES = ("left", "right")


def _picture(rng: np.random.Generator, side: str | None) -> npt.NDArray[np.uint8]:
    """Noise, with a bright square on one side where there is an opacity."""
    pixels = rng.normal(90, 25, (64, 64))
    if side:
        x = 40 if side == "left" else 4
        pixels[rng.integers(4, 40) :][:20, x : x + 20] += 110
    return pixels.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    (folder / "images").mkdir()
    (folder / "ecgen-radiology").mkdir()
    rng = np.random.default_rng(0)
    with (folder / "images.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image_id", "uid", "projection", "split"])
        for uid in range(240):
            side = [*SIDES, None][uid % 3]
            image = f"CXR{uid}_IM-0001-1001"
            Image.fromarray(_picture(rng, side)).save(folder / "images" / f"{image}.png")
            term = f"Opacity/lung/{side}" if side else "normal"
            report = REPORT.format(uid=uid, image=image, terms=f"<major>{term}</major>")
            (folder / "ecgen-radiology" / f"{uid}.xml").write_text(report)
            table.writerow([image, uid, "frontal", "train" if uid < 180 else "val"])
    return folder


RECIPE = Recipe(
    name="tiny", size=64, crop=56, min_images=5, epochs=8, batch_size=16, annotator_epochs=20,
    learning_rate=2e-3, dimensions=32, units=32,
    backbones=("tf_efficientnet_lite0",) * 2,
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    report = folder / "report.md"
    return train(
        dataset, folder / "tiny", RECIPE, work=folder / "work", device="cpu", report=report
    )


def test_it_learns_the_planted_finding_and_its_side(trained: Bundle) -> None:
    rng = np.random.default_rng(1)
    truth = [[*SIDES, None][n % 3] for n in range(60)]
    readings = Runtime(trained, "cpu").read(np.stack([_picture(rng, side) for side in truth]))
    found = [reading.annotations[0] for reading in readings]
    both = list(zip(found, truth, strict=True))
    right = [(a.disease == "opacity") == (side is not None) for a, side in both]
    assert np.mean(right) > 0.9, "chance is 0.67"
    sides = [a.of_kind("side") == (side,) for a, side in both if side]
    assert np.mean(sides) > 0.8, "chance is 0.5"


def test_its_second_cnn_learned_composite_labels(trained: Bundle) -> None:
    assert sorted(trained.labels.composites) == ["opacity, left", "opacity, right"]
    assert sum(trained.record["composites"].values()) == 120, "every opacity carries one"
    before, after = trained.record["rounds"]
    assert (before["cnns"], before["composites"]) == (1, 0)
    assert (after["cnns"], after["composites"]) == (2, 2)
    assert min(before["val_mean_auc"], after["val_mean_auc"]) > 0.9, "chance is 0.5"
    # It scores them, too.
    rng = np.random.default_rng(4)
    first = len(trained.labels.findings) + len(trained.labels.pairs)
    for side in SIDES:
        pictures = np.stack([_picture(rng, side) for _ in range(20)])
        scores = Runtime(trained, "cpu").encode(pictures).logits[:, first:]
        right = scores.argmax(1) == trained.labels.composites.index(f"opacity, {side}")
        assert np.mean(right) > 0.8, "chance is 0.5"


def test_its_report_shows_rounds_labels_map_and_curves(trained: Bundle) -> None:
    report = (trained.path.parent / "report.md").read_text()
    assert report.startswith("# Training of tiny\n")
    first, last = trained.record["rounds"]
    for row in (first, last):
        assert f"| {row['cnns']} | {row['composites']} | {row['val_mean_auc']} |" in report
    sizes = trained.record["composites"]
    assert set(sizes) == {"opacity, left", "opacity, right"}
    for label, size in sizes.items():
        assert f"| {label} | {size} |" in report
    assert report.count("](data:image/png;base64,") == 4


def test_it_places_pictures_beside_their_annotation(trained: Bundle) -> None:
    rng = np.random.default_rng(3)
    runtime = Runtime(trained, "cpu")
    phrases = encode([f"opacity, lung, {side}" for side in SIDES])
    for number, side in enumerate(SIDES):
        readings = runtime.read(np.stack([_picture(rng, side) for _ in range(20)]))
        places = runtime.text_space(np.stack([r.embedding for r in readings]))
        nearest = (places @ phrases.T).argmax(1)
        assert np.mean(nearest == number) > 0.8, "chance is 0.5"


def test_a_reading_does_not_depend_on_its_batch(trained: Bundle) -> None:
    rng = np.random.default_rng(2)
    canvases = np.stack([_picture(rng, "left") for _ in range(40)])
    runtime = Runtime(trained, "cpu", batch_size=16)
    whole = runtime.read(canvases)
    parts = [
        reading
        for part in (slice(7), slice(7, 30), slice(30, 40))
        for reading in runtime.read(canvases[part])
    ]
    for one, other in zip(whole, parts, strict=True):
        assert one.to_json() == other.to_json()
        np.testing.assert_allclose(one.embedding, other.embedding, atol=1e-4)


def test_an_interrupted_training_goes_on(
    dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = Recipe(
        name="short",
        size=64,
        crop=56,
        min_images=5,
        epochs=1,
        annotator_epochs=1,
        backbones=("tf_efficientnet_lite0",),
    )
    first = train(dataset, tmp_path / "a", recipe, work=tmp_path / "work", device="cpu", limit=64)
    with caplog.at_level(logging.INFO):
        again = train(
            dataset, tmp_path / "b", recipe, work=tmp_path / "work", device="cpu", limit=64
        )
    assert "going on after epoch 1 of 1" in caplog.text
    assert again.hash == first.hash


def test_augmentation_never_mirrors() -> None:
    import torch

    canvas = torch.zeros(200, 64, 64, dtype=torch.uint8)
    canvas[:, :, 40:] = 255
    pictures = augment(canvas, 56, torch.Generator().manual_seed(0))
    left, right = pictures[..., :20].mean((1, 2, 3)), pictures[..., -20:].mean((1, 2, 3))
    assert bool((right > left).all())


def test_a_data_set_without_its_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"images\.csv is missing"):
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
