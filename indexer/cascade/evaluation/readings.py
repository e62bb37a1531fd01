"""What a bundle says of a data set, and how the images of a study help each other."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from indexer.annotation import Annotation
from indexer.archive.decoding import DecodeSettings
from indexer.cascade.bundle import Bundle
from indexer.cascade.dataset import Example, load_canvases
from indexer.cascade.runtime import Runtime

__all__ = ["Readings", "read"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Readings:
    """n images with what people and what the bundle say of them.

    Parameters
    ----------
    examples
        The images.
    canvases
        Shape (n, size, size), uint8: what the CNN sees.
    embeddings
        Shape (n, dimensions): the search vectors.
    logits
        Shape (n, findings), calibrated.
    places
        Shape (n, 384): the places among sentences; None without a sentence space.
    annotations
        Per image, what the bundle reports.
    """

    examples: Sequence[Example]
    canvases: npt.NDArray[np.uint8]
    embeddings: FloatArray
    logits: FloatArray
    places: FloatArray | None
    annotations: Sequence[tuple[Annotation, ...]]

    @property
    def studies(self) -> list[str]:
        """Per image, its study."""
        return [example.study for example in self.examples]

    def pooled(self) -> Readings:
        """Each image's scores and embedding averaged with those of the other images of its study.

        Places among sentences stay each image's own: of equal images that follow one another in
        an answer, all but the first are in the way of other studies.
        """
        return replace(
            self,
            embeddings=self._means(self.embeddings),
            logits=self._means(self.logits),
        )

    def _means(self, values: FloatArray) -> FloatArray:
        _, member = np.unique(np.array(self.studies), return_inverse=True)
        sums = np.zeros((int(member.max()) + 1, values.shape[1]))
        np.add.at(sums, member, values)
        means: FloatArray = (sums / np.bincount(member)[:, None])[member].astype(np.float32)
        return means


def read(
    bundle: Bundle,
    examples: Sequence[Example],
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
) -> Readings:
    """Read the images of a data set.

    Raises
    ------
    TrainingError
        A picture cannot be decoded.
    """
    settings = DecodeSettings(bundle.size, bundle.squash, b"evaluation", thumbnail=0)
    with tempfile.TemporaryDirectory() as cache:
        canvases = np.array(load_canvases(examples, settings, Path(cache)))
    reader = Runtime(bundle, device, name=runtime, precision=precision)
    size = reader.batch_size
    batches = [canvases[start : start + size] for start in range(0, len(canvases), size)]
    outputs = [reader.encode(batch) for batch in batches]
    embeddings: FloatArray = np.concatenate([o.embedding for o in outputs])
    return Readings(
        examples,
        canvases,
        embeddings,
        np.concatenate([o.logits for o in outputs])[:, : len(bundle.findings)],
        reader.text_space(embeddings) if bundle.has_text_space else None,
        [reading.annotations for o in outputs for reading in reader.interpret(o)],
    )
