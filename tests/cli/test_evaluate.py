"""`cxrdex evaluate` as a user runs it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Run

REPORT = """<?xml version="1.0"?><eCitation><uId id="CXR{uid}"/><MeSH><major>{term}</major></MeSH>
<parentImage id="CXR{uid}_IM-1"/></eCitation>"""
TERMS = ("normal", "Opacity/left", "Cardiomegaly/mild")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dataset")
    (path / "images").mkdir()
    (path / "ecgen-radiology").mkdir()
    rng = np.random.default_rng(0)
    with (path / "images.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image_id", "uid", "projection", "split"])
        for uid in range(12):
            name = f"CXR{uid}_IM-1"
            report = REPORT.format(uid=uid, term=TERMS[uid % 3])
            (path / "ecgen-radiology" / f"{uid}.xml").write_text(report)
            pixels = rng.integers(0, 255, (64, 64)).astype(np.uint8)
            Image.fromarray(pixels).save(path / "images" / f"{name}.png")
            table.writerow([name, uid, "frontal", "train" if uid < 6 else "test"])
    return path


def test_findings_are_printed_and_written(run: Run, dataset: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "report.json"
    result = run("evaluate", dataset, "--part", "test", "--output", output, "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert "6 images of 6 studies" in result.stdout
    assert "cardiomegaly" in result.stdout
    report = json.loads(output.read_text())
    assert report["protocol"] == "product"
    assert report["findings"]["cardiomegaly"]["positives"] == 2
    assert report["findings"]["nodule"]["auc"] is None
    assert set(report["words"]) == {"organ", "location", "side", "severity"}


def test_search_stands_beside_its_baselines(run: Run, dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "part.txt").write_text("6\n7\nCXR8_IM-1\n")
    result = run(
        "evaluate", dataset, "--part", tmp_path / "part.txt", "--protocol", "retrieval",
        "--gallery", dataset, "--format", "json", "--device", "cpu",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["images"], report["abnormal_queries"], report["gallery_images"]) == (3, 2, 6)
    assert set(report["baselines"]["image_to_image"]) == {"chance", "raw_pixels_32", "imagenet"}
    assert report["text_to_image"]["queries"] == 3
    assert report["unpooled"]["text_to_image"] == report["text_to_image"]


def test_the_paper_protocol_shows_every_variant(run: Run, dataset: Path) -> None:
    result = run(
        "evaluate", dataset, "--part", "test", "--protocol", "paper", "--format", "json",
        "--device", "cpu",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert set(report["variants"]) == {"gru/0", "gru/1", "lstm/0", "lstm/1"}
    assert report["bleu"]["4"] is None
    assert "always_normal" in report["baselines"]


@pytest.mark.parametrize(
    ("part", "message"),
    [("nowhere", "no annotated image of the part"), ("lines", "line 2: 'CXR99' is no uid")],
)
def test_a_bad_part_is_a_plain_error(
    run: Run, dataset: Path, tmp_path: Path, part: str, message: str
) -> None:
    (tmp_path / "lines").write_text("6\nCXR99\n")
    name = tmp_path / "lines" if part == "lines" else part
    result = run("evaluate", dataset, "--part", name)
    assert result.exit_code == 11
    assert message in result.stderr
