"""The published collections are trained on, evaluated and indexed as they are laid out."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer.cascade.compute import Compute
from indexer.database.reader import DatabaseReader
from indexer.datasets.images import Dataset
from indexer.evaluation.protocols import evaluate
from indexer.pipeline.options import FileProcessing
from indexer.pipeline.run import index
from indexer.training.recipe import Recipe
from indexer.training.training import train
from tests.datasets.collections_made import COLLECTIONS, EFFUSION, TRAIN, VAL
from tests.pipeline.making import make_bundle

RECIPE = Recipe(
    size=64, crop=56, min_images=3, epochs=1, batch_size=16, annotator_epochs=1, dimensions=16,
    units=16, backbones=("test_efficientnet",), pretrained=False, feedback=0, text_weight=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each, by its name."""
    root = tmp_path_factory.mktemp("collections")
    for name, make in COLLECTIONS.items():
        make(root / name)
    return {name: root / name for name in COLLECTIONS}


@pytest.mark.parametrize("name", COLLECTIONS)
def test_labels_of_a_collection_become_peoples_words(
    collections: dict[str, Path], name: str, tmp_path: Path
) -> None:
    folder = collections[name]
    assert Dataset.open(folder).description.name == name
    compute = Compute(make_bundle(tmp_path / "bundle").path, "cpu")
    summary = index(
        [folder],
        tmp_path / "db",
        labels=[folder],
        compute=compute,
        processing=FileProcessing(workers=1, batch_size=8),
    )
    assert (summary.done, summary.labels_unmatched) == (TRAIN + VAL, 0)
    said = []
    with DatabaseReader.open(tmp_path / "db") as database:
        for document in database.documents():
            human = [a["text"] for a in document["annotations"] if a["origin"] == "human"]
            said += human
            assert human in ([EFFUSION], ["normal"])
    assert said.count(EFFUSION) == (TRAIN + VAL) // 2


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_bundle_is_judged_on_a_collection(
    collections: dict[str, Path], name: str, tmp_path: Path
) -> None:
    part = tmp_path / "part.txt"
    described = Dataset.open(collections[name]).described
    part.write_text("".join(f"{image.image_id}\n" for image in described))
    compute = Compute(make_bundle(tmp_path / "bundle").path, "cpu")
    report = evaluate(collections[name], part, "product", compute=compute)
    assert (report["images"], report["left_out"]) == (TRAIN + VAL, {})
    # An effusion denies what this bundle calls normal, and is none of its findings.
    assert report["findings"]["normal"]["positives"] == (TRAIN + VAL) // 2
    assert report["findings"]["normal"]["auc"] is not None
    assert report["findings"]["cardiomegaly"]["positives"] == 0


def test_one_training_learns_from_all_of_them(collections: dict[str, Path], tmp_path: Path) -> None:
    bundle = train(
        list(collections.values()),
        tmp_path / "bundle",
        RECIPE,
        work=tmp_path / "work",
        device="cpu",
    )
    assert bundle.record["sources"] == list(collections)
    assert EFFUSION in bundle.findings
    card = (bundle.path / "MODEL_CARD.md").read_text()
    for name in collections:
        assert f"| {name} |" in card
