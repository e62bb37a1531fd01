"""Cases with a known truth: what an image shows decides every word of its annotation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from indexer.annotation import Annotation
from indexer.cascade.dataset import Example
from indexer.cascade.paper.cases import Cases

__all__ = ["DIMENSIONS", "embeddings", "example", "planted_cases", "planted_words"]

DIMENSIONS = 16


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
    for vector, said in zip(vectors, words, strict=True):
        vector[:5] += [1.5 if word in said else 0.0 for word in shown]
    unit: npt.NDArray[np.float32] = (
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    ).astype(np.float32)
    return unit


def planted_cases(count: int, seed: int) -> Cases:
    """Images whose frozen embedding shows their words."""
    words = planted_words(count, seed)
    examples = [example(seed * 10_000 + n, said) for n, said in enumerate(words)]
    return Cases.of(examples, embeddings(words, seed))
