"""`cxrdex evaluate` as a user runs it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from indexer.cascade.bundle import Bundle
from indexer.paper.cases import Cases
from indexer.paper.recipe import FROZEN, PaperRecipe
from indexer.paper.training.cascade import train_cascade
from tests.cli.conftest import Run
from tests.training.planted import example, planted_words

REPORT = """<?xml version="1.0"?><eCitation><uId id="CXR{uid}"/><MeSH><major>{term}</major></MeSH>
{images}</eCitation>"""
TERMS = ("normal", "Opacity/left", "Cardiomegaly/mild")
TINY = PaperRecipe(
    name="tiny", backbone=FROZEN, epochs=1, features=8, units=8, project=True,
    writer_epochs=1, writer_rate=1e-3, images_per_label=25,
)  # fmt: skip


def _write_dataset(path: Path, per_study: int) -> Path:
    """Twelve studies, half of them to train on."""
    (path / "images").mkdir()
    (path / "ecgen-radiology").mkdir()
    rng = np.random.default_rng(0)
    with (path / "images.csv").open("w", newline="", encoding="utf-8-sig") as file:
        table = csv.writer(file)
        table.writerow(["image_id", "uid", "projection", "split"])
        for uid in range(12):
            names = [f"CXR{uid}_IM-{n + 1}" for n in range(per_study)]
            images = "".join(f'<parentImage id="{name}"/>' for name in names)
            report = REPORT.format(uid=uid, term=TERMS[uid % 3], images=images)
            (path / "ecgen-radiology" / f"{uid}.xml").write_text(report)
            for name in names:
                pixels = rng.integers(0, 255, (64, 64)).astype(np.uint8)
                Image.fromarray(pixels).save(path / "images" / f"{name}.png")
                table.writerow([name, uid, "frontal", "train" if uid < 6 else "test"])
    return path


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write_dataset(tmp_path_factory.mktemp("dataset"), 1)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with two images a study."""
    return _write_dataset(tmp_path_factory.mktemp("pairs"), 2)


def _report(run: Run, dataset: Path, *words: str | Path) -> Any:
    result = run(
        "evaluate", dataset, "--part", "test", "--device", "cpu", "--format", "json", *words
    )
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


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
    assert report["left_out"] == {}
    assert f"of the part test, in {report['seconds']:.0f} s" in " ".join(result.stdout.split())
    line = next(line for line in result.stdout.splitlines() if "normal AUC" in line)
    low, high = report["intervals"]["normal_auc"]
    assert line.split()[2:4] == [f"{report['normal_auc']:.3f}", f"({low:.3f}-{high:.3f})"]


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
    assert (report["part"], report["gallery"]) == ("part.txt", dataset.name)
    assert report["gallery_part"] == "train"
    assert report["seconds"] > 0
    assert str(tmp_path) not in result.stdout, "no private path"
    assert str(dataset) not in result.stdout


def test_baselines_are_pooled_where_the_bundle_is(run: Run, pairs: Path) -> None:
    report = _report(run, pairs, "--protocol", "retrieval")
    together, alone = (part["baselines"]["image_to_image"] for part in (report, report["unpooled"]))
    for name in ("raw_pixels_32", "imagenet"):
        assert together[name] != alone[name]
    single = _report(run, pairs, "--protocol", "retrieval", "--no-pool-studies")
    assert single["baselines"]["image_to_image"] == alone
    assert "unpooled" not in single


def test_search_is_printed(run: Run, pairs: Path) -> None:
    result = run(
        "evaluate", pairs, "--part", "test", "--protocol", "retrieval", "--device", "cpu"
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    for text in ("by picture, abnormal queries", "by words", "nDCG@10", "median rank share"):
        assert text in result.stdout
    assert result.stdout.count("imagenet, pooled by study") == 2
    assert result.stdout.count("bundle, single images") == 2


def test_the_paper_protocol_shows_the_cascade_after_feedback(run: Run, dataset: Path) -> None:
    report = _report(run, dataset, "--protocol", "paper")
    assert set(report["variants"]) == {"gru/0", "gru/1", "lstm/0", "lstm/1", "cascade"}
    assert report["best"] == "cascade"
    assert report["confusion"] == report["variants"][report["best"]]["confusion"]
    assert report["bleu"]["4"] is None
    assert "always_normal" in report["baselines"]
    assert "embeddings" not in report


def test_the_paper_protocol_is_printed(run: Run, dataset: Path) -> None:
    result = run("evaluate", dataset, "--part", "test", "--protocol", "paper", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    report = _report(run, dataset, "--protocol", "paper")
    ends = report["intervals"]["bleu"]["1"]
    line = next(x for x in result.stdout.splitlines() if x.strip().startswith(report["best"]))
    assert f"{report['bleu']['1']:.1f} ({ends[0]:.1f}-{ends[1]:.1f})" in line
    # Of the matrix each class is a row, and its images are in it.
    counts = dict(zip(*report["confusion"].values(), strict=True))["cardiomegaly"]
    row = next(x for x in result.stdout.splitlines() if x.rstrip("\n .0123456789").endswith("galy"))
    cells = row.split("cardiomegaly")[1].split()
    assert [int(c) for c in cells if c != "."] == [c for c in counts if c]


def test_a_cascade_over_embeddings_is_judged(
    run: Run, dataset: Path, bundle: Bundle, tmp_path: Path
) -> None:
    def cases(count: int, seed: int) -> Cases:
        words = planted_words(count, seed)
        vectors = np.random.default_rng(seed).normal(size=(count, bundle.dimensions))
        examples = [example(seed * 1000 + n, annotation) for n, annotation in enumerate(words)]
        return Cases.of(examples, vectors.astype(np.float32))

    model = train_cascade(TINY, cases(48, 1), cases(24, 2), work=tmp_path, device="cpu")
    model.bundle = bundle.hash
    model.save(tmp_path / "model")
    report = _report(run, dataset, "--protocol", "paper", "--bundle", tmp_path / "model")
    assert report["bundle"]["name"] == "tiny"
    assert report["embeddings"] == {"name": bundle.name, "hash": bundle.hash}
    assert set(report["variants"]) == {"gru/0", "gru/1"}
    assert report["images"] == 6
    named = _report(
        run, dataset, "--protocol", "paper", "--bundle", tmp_path / "model",
        "--embeddings", bundle.path,
    )  # fmt: skip
    assert named | {"seconds": 0} == report | {"seconds": 0}
    model.bundle = "0" * 16
    model.save(tmp_path / "model")
    result = run("evaluate", dataset, "--protocol", "paper", "--bundle", tmp_path / "model")
    assert result.exit_code == 5
    assert "reads embeddings of the bundle 0000000000000000" in result.stderr


def test_a_cascade_on_pictures_is_judged(run: Run, dataset: Path, tmp_path: Path) -> None:
    def cases(count: int, seed: int) -> Cases:
        words = planted_words(count, seed)
        canvases = np.random.default_rng(seed).integers(0, 255, (count, 40, 40), np.uint8)
        return Cases.of([example(seed * 1000 + n, w) for n, w in enumerate(words)], canvases)

    recipe = replace(TINY, backbone="test_resnet", size=40, crop=32, rounds=0)
    model = train_cascade(recipe, cases(48, 1), cases(24, 2), work=tmp_path, device="cpu")
    model.save(tmp_path / "model")
    words = ("--protocol", "paper", "--bundle", tmp_path / "model")
    report = _report(run, dataset, *words)
    assert (report["best"], report["images"]) == ("gru/0", 6)
    result = run("evaluate", dataset, *words, "--embeddings", tmp_path)
    assert result.exit_code == 5
    assert "reads pictures" in result.stderr


def test_embeddings_are_of_the_paper_protocol_alone(run: Run, dataset: Path) -> None:
    result = run("evaluate", dataset, "--part", "test", "--embeddings", dataset)
    assert result.exit_code == 2
    result = run(
        "evaluate", dataset, "--part", "test", "--protocol", "paper", "--embeddings", dataset
    )  # fmt: skip
    assert result.exit_code == 5
    assert "reads its own embeddings" in result.stderr


@pytest.mark.parametrize("protocol", ["product", "paper"])
def test_what_cannot_be_judged_is_counted_and_the_rest_goes_on(
    run: Run, tmp_path: Path, protocol: str
) -> None:
    dataset = _write_dataset(tmp_path, 1)
    (dataset / "images" / "CXR6_IM-1.png").write_bytes(b"\x89PNG broken")
    (dataset / "images" / "CXR7_IM-1.png").unlink()
    (dataset / "ecgen-radiology" / "8.xml").unlink()
    other = REPORT.format(uid=9, term="Hernia", images='<parentImage id="CXR9_IM-1"/>')
    (dataset / "ecgen-radiology" / "9.xml").write_text(other)
    result = run(
        "evaluate", dataset, "--part", "test", "--format", "json", "--device", "cpu",
        "--protocol", protocol, "--limit", "3",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "CXR6_IM-1 is left out" in result.stderr
    report = json.loads(result.stdout)
    outside = {"not of one of the 17 classes": 1} if protocol == "paper" else {}
    assert report["left_out"] == {
        "no picture": 1, "no annotation": 1, "broken picture": 1, "over the limit": 1, **outside,
    }  # fmt: skip
    assert report["images"] + sum(report["left_out"].values()) == 6


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is neither a split of"),
        (None, "(test, train) nor a file that exists"),
        (" \n\n", "is empty: a part lists uids or image ids"),
        ("6\nCXR99\nCXR98\n", "'CXR99' (line 2), 'CXR98' (line 3)"),
        ("\n".join(f"A{n}" for n in range(9)), "and 4 more"),
    ],
)
def test_a_bad_part_is_a_plain_error(
    run: Run, dataset: Path, tmp_path: Path, content: str | None, message: str
) -> None:
    part = tmp_path / "part.txt"
    if content is not None:
        part.write_text(content)
    result = run("evaluate", dataset, "--part", part)
    assert result.exit_code == 11
    assert message in result.stderr
    assert str(part) in result.stderr


def test_a_table_of_another_encoding_is_a_plain_error(run: Run, tmp_path: Path) -> None:
    dataset = _write_dataset(tmp_path, 1)
    table = dataset / "images.csv"
    table.write_text(table.read_text("utf-8-sig"), encoding="utf-16")
    result = run("evaluate", dataset, "--part", "test")
    assert result.exit_code == 11
    assert "cannot be read as CSV in UTF-8" in result.stderr
