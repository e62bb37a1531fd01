"""What a bundle says of a data set, and how the images of a study help each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from indexer.annotation import Annotation
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.interpretation.pooling import pool_readings
from indexer.cascade.reading import Predictor
from indexer.cascade.text_space import TextSpace
from indexer.datasets.dataset import Example
from indexer.evaluation.pictures import Pictures

__all__ = ["Readings", "read", "study_means"]

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
    fit
        How well texts, shape (m, 384) from the sentence model, fit the images: (m, n). None without
        a sentence space.
    annotations
        Per image, what the bundle reports.
    """

    examples: Sequence[Example]
    canvases: npt.NDArray[np.uint8]
    embeddings: FloatArray
    logits: FloatArray
    fit: Callable[[FloatArray], FloatArray] | None
    annotations: Sequence[tuple[Annotation, ...]]

    @property
    def studies(self) -> list[str]:
        """Per image, its study."""
        return [example.study for example in self.examples]

    def pooled(self, bundle: Bundle) -> Readings:
        """Each image with the mean scores and embedding of its study, and the study's words.

        How texts fit stays each image's own: of equal images that follow one another in
        an answer, all but the first are in the way of other studies.
        """
        return replace(
            self,
            embeddings=study_means(self.embeddings, self.studies),
            logits=study_means(self.logits, self.studies),
            annotations=self._pooled_words(bundle),
        )

    def _pooled_words(self, bundle: Bundle) -> list[tuple[Annotation, ...]]:
        """What an index of these images says of each."""
        chances = (1 / (1 + np.exp(-self.logits.astype(np.float64)))).round(4)
        images: dict[str, list[int]] = {}
        for row, study in enumerate(self.studies):
            images.setdefault(study, []).append(row)
        annotations: list[tuple[Annotation, ...]] = [()] * len(self.examples)
        for rows in images.values():
            alone = [
                {
                    "probabilities": dict(zip(bundle.findings, chances[row].tolist(), strict=True)),
                    "annotations": [a.to_json() for a in self.annotations[row]],
                }
                for row in rows
            ]
            pooled = pool_readings(alone, bundle.thresholds, bundle.likely)["annotations"]
            for row in rows:
                annotations[row] = tuple(Annotation.from_json(a) for a in pooled)
        return annotations


def study_means(values: FloatArray, studies: Sequence[str]) -> FloatArray:
    """Rows of shape (n, values), each as the mean of its study's."""
    _, member = np.unique(np.array(studies), return_inverse=True)
    sums = np.zeros((int(member.max()) + 1, values.shape[1]))
    np.add.at(sums, member, values)
    means: FloatArray = (sums / np.bincount(member)[:, None])[member].astype(np.float32)
    return means


def read(bundle: Bundle, pictures: Pictures, compute: Compute) -> Readings:
    """Read the images of a data set."""
    predictor = Predictor(bundle, compute)
    canvases, size = pictures.canvases, predictor.batch_size
    batches = [canvases[start : start + size] for start in range(0, len(canvases), size)]
    outputs = [predictor.encode(batch) for batch in batches]
    embeddings: FloatArray = np.concatenate([o.embedding for o in outputs])
    return Readings(
        pictures.examples,
        canvases,
        embeddings,
        np.concatenate([o.logits for o in outputs])[:, : len(bundle.findings)],
        partial(TextSpace.of(bundle).likeness, embeddings=embeddings)
        if bundle.has_text_space
        else None,
        [reading.annotations for o in outputs for reading in predictor.interpret(o)],
    )
