"""What the cascade learns from: images with their class and annotation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from indexer.archive.decoding import DecodeSettings
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.reading import Predictor
from indexer.datasets.dataset import Example, keep_array, load_canvases, load_examples
from indexer.errors import TrainingError
from indexer.paper.classes import CLASSES, annotation_words, paper_class
from indexer.paper.recipe import PaperRecipe

__all__ = ["Cases", "load_cases"]

# Pictures embedded at once: 256 of 65,536 bytes.
_CHUNK = 256


@dataclass(frozen=True, slots=True)
class Cases:
    """The images of one part; each stands once.

    Parameters
    ----------
    examples
        The images of the 17 classes.
    inputs
        Their canvases (n, size, size), uint8, or frozen embeddings (n, dimensions), float32.
    others, other_inputs
        The remaining images of the part, whose annotations a `wide` recipe learns too.
    """

    examples: tuple[Example, ...]
    inputs: npt.NDArray[Any]
    others: tuple[Example, ...] = ()
    other_inputs: npt.NDArray[Any] | None = None

    @property
    def annotations(self) -> list[tuple[str, ...]]:
        """The words of each image, disease first."""
        return [annotation_words(example) for example in self.examples]

    @property
    def classes(self) -> npt.NDArray[np.int64]:
        """Shape (n,): place of each image's class in `CLASSES`."""
        return np.array([CLASSES.index(words[0]) for words in self.annotations], np.int64)

    @classmethod
    def of(
        cls, examples: Sequence[Example], inputs: npt.NDArray[Any], *, wide: bool = False
    ) -> Cases:
        """Sort the images of a part into those of a class and the others.

        Raises
        ------
        TrainingError
            No image belongs to a class, or not every image has an input.
        """
        if len(examples) != len(inputs):
            raise TrainingError(f"{len(inputs)} inputs for {len(examples)} images")
        inside = np.array([paper_class(example) is not None for example in examples], bool)
        if not inside.any():
            raise TrainingError("no image has exactly one of the paper's 17 classes")
        pairs = list(zip(examples, inside, strict=True))
        return cls(
            tuple(example for example, belongs in pairs if belongs),
            inputs[inside],
            tuple(example for example, belongs in pairs if not belongs) if wide else (),
            inputs[~inside] if wide else None,
        )


def load_cases(
    dataset: Path,
    part: str,
    recipe: PaperRecipe,
    *,
    work: Path,
    bundle: Bundle | None = None,
    device: str = "auto",
    limit: int | None = None,
) -> Cases:
    """The cases of one part, decoded (and embedded, for a frozen recipe) once and kept in `work`.

    Parameters
    ----------
    dataset
        A folder in the Open-i layout.
    bundle
        Whose embeddings a frozen recipe reads; the shipped one where None.
    limit
        Only so many images.

    Raises
    ------
    TrainingError
        The data set is unusable.
    """
    examples = load_examples(dataset, part)
    if not recipe.wide:
        examples = [example for example in examples if paper_class(example) is not None]
    examples = examples[:limit]
    if not recipe.frozen:
        settings = DecodeSettings(recipe.size, squash=True, key=b"training set", thumbnail=0)
        return Cases.of(examples, load_canvases(examples, settings, work), wide=recipe.wide)
    source = bundle if bundle is not None else Bundle.load()
    settings = DecodeSettings(
        source.size, source.squash, b"training set", borders=source.borders, thumbnail=0
    )
    canvases = load_canvases(examples, settings, work)
    inputs = _embeddings(source, canvases, work, device)
    return Cases.of(examples, inputs, wide=recipe.wide)


def _embeddings(
    bundle: Bundle, canvases: npt.NDArray[np.uint8], work: Path, device: str
) -> npt.NDArray[np.float32]:
    path = work / f"embeddings-{bundle.hash}-{blake3(canvases.data).hexdigest(8)}.npy"
    if not path.exists():
        predictor = Predictor(bundle, Compute(device=device))
        rows = [
            reading.embedding
            for start in range(0, len(canvases), _CHUNK)
            for reading in predictor.read(np.asarray(canvases[start : start + _CHUNK]))
        ]
        keep_array(path, np.stack(rows))
    result: npt.NDArray[np.float32] = np.load(path)
    return result
