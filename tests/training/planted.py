"""Cases with a known truth: what an image shows decides every word of its annotation."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from indexer.annotation import Annotation
from indexer.datasets.dataset import Example
from indexer.paper.cases import Cases

__all__ = [
    "DIMENSIONS",
    "embeddings",
    "example",
    "planted_cases",
    "planted_folder",
    "planted_words",
    "shown",
]

DIMENSIONS = 16
_REPORT = """<?xml version="1.0"?><eCitation><uId id="CXR{name}"/>
<Article><Abstract><AbstractText Label="FINDINGS">Simulated.</AbstractText></Abstract></Article>
<MeSH>{terms}</MeSH><parentImage id="{name}"/></eCitation>"""


def example(number: int, words: Sequence[str], study: str | None = None) -> Example:
    """An image with one annotation, alone in its study unless one is named."""
    annotation = Annotation.from_words("human", words[0], words[1:])
    name = f"image{number}"
    return Example(name, Path(name), study or f"study{number}", "frontal", (annotation,))


def planted_words(count: int, seed: int) -> list[tuple[str, ...]]:
    """A third normal, a third opacities, a third nodules; side and severity at random."""
    rng = np.random.default_rng(seed)
    found: list[tuple[str, ...]] = []
    for number in range(count):
        disease = ("normal", "opacity", "nodule")[number % 3]
        side, severity = rng.integers(2, size=2)
        rest = ("lung", ("left", "right")[side], ("mild", "severe")[severity])
        found.append((disease, *(rest if disease != "normal" else ())))
    return found


def embeddings(words: Sequence[tuple[str, ...]], seed: int) -> npt.NDArray[np.float32]:
    """Unit vectors, the first five directions of which show disease, side and severity."""
    rng = np.random.default_rng(seed)
    shown = ("normal", "opacity", "nodule", "left", "mild")
    vectors = rng.normal(0, 0.25, (len(words), DIMENSIONS))
    for vector, line in zip(vectors, words, strict=True):
        vector[:5] += [1.5 if word in line else 0.0 for word in shown]
    unit: npt.NDArray[np.float32] = (
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    ).astype(np.float32)
    return unit


def planted_cases(count: int, seed: int) -> Cases:
    """Images whose frozen embedding shows their words."""
    words = planted_words(count, seed)
    examples = [example(seed * 10_000 + n, line) for n, line in enumerate(words)]
    return Cases.of(examples, embeddings(words, seed))


def planted_folder(folder: Path, parts: Mapping[str, int], seed: int = 0) -> Path:
    """A data set in the Open-i layout, whose pictures show to `shown` what is said of them.

    Image n of a part is named by both, ``train7``; the eighth of each eight has a second finding,
    and so belongs to no class.
    """
    (folder / "images").mkdir(parents=True)
    (folder / "ecgen-radiology").mkdir()
    rng = np.random.default_rng(seed)
    with (folder / "images.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image_id", "uid", "projection", "split"])
        for part, count in parts.items():
            for number, words in enumerate(planted_words(count, seed + len(part))):
                name = f"{part}{number}"
                Image.fromarray(_picture(rng, words)).save(folder / "images" / f"{name}.png")
                findings = ["/".join(words), *(["Hernia"] if number % 8 == 7 else [])]
                terms = "".join(f"<major>{term.capitalize()}</major>" for term in findings)
                report = folder / "ecgen-radiology" / f"{name}.xml"
                report.write_text(_REPORT.format(name=name, terms=terms))
                table.writerow([name, f"study-{name}", "frontal", part])
    return folder


def _picture(rng: np.random.Generator, words: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Noise, with a bright square above for an opacity, below for a nodule."""
    pixels = rng.normal(90, 20, (64, 64))
    if words[0] != "normal":
        top, left = 6 if words[0] == "opacity" else 38, 38 if "left" in words else 6
        pixels[top : top + 20, left : left + 20] += 60 if "mild" in words else 140
    pixels8: npt.NDArray[np.uint8] = pixels.clip(0, 255).astype(np.uint8)
    return pixels8


def shown(canvas: npt.NDArray[np.uint8]) -> set[str]:
    """What can be seen on a planted picture of any size: its disease, and the side of it."""
    half = len(canvas) // 2
    quarters = np.array(
        [
            [canvas[rows, columns].mean() for columns in (slice(half), slice(half, None))]
            for rows in (slice(half), slice(half, None))
        ]
    )
    if quarters.max() - np.median(quarters) < 8:
        return {"normal"}
    row, column = np.unravel_index(quarters.argmax(), (2, 2))
    return {("opacity", "nodule")[row], ("right", "left")[column]}
