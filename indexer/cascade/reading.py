"""Reading pictures with a bundle: probabilities, annotations, view and embedding."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.annotation import NORMAL, Annotation, Word, word_kind
from indexer.cascade.bundle import Bundle
from indexer.cascade.bundle_checks import check_shapes, fitting
from indexer.cascade.compute import Compute
from indexer.cascade.describer import Describer, shapes, sigmoid
from indexer.cascade.interpretation.certainty import UNUSUAL, certainty, reported
from indexer.cascade.interpretation.unusual import UnusualScore
from indexer.cascade.runtimes import Encoded, OutOfDeviceMemory, load
from indexer.errors import BundleError

__all__ = ["Predictor", "Reading"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the cascade says of one image.

    Parameters
    ----------
    probabilities
        Per finding, 0..1.
    annotations
        Findings over their thresholds, likely ones first, then possible ones; ``normal`` where no
        finding is likely (see `interpretation.certainty.reported`). None of an unusual picture.
    view, view_confidence
        ``"frontal"`` or ``"lateral"``, and its probability.
    embedding
        Shape (dimensions,): the search vector (see `indexer.cascade.networks.encoder.Encoder`).
    unusual
        From 0 to 1: how little the picture is like a chest film; unusual over
        `indexer.cascade.interpretation.certainty.UNUSUAL`. 0 of a bundle that does not tell.
    """

    probabilities: dict[str, float]
    annotations: tuple[Annotation, ...]
    view: str
    view_confidence: float
    embedding: npt.NDArray[np.float32]
    unusual: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """A JSON object without the vectors; the embedding lives in the shards."""
        return {
            "probabilities": self.probabilities,
            "annotations": [a.to_json() for a in self.annotations],
            "view": self.view,
            "view_confidence": self.view_confidence,
            "unusual": self.unusual,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any], embedding: npt.NDArray[np.float32]) -> Reading:
        """The reading that `to_json` turned into `data`."""
        annotations = tuple(Annotation.from_json(a) for a in data["annotations"])
        return cls(
            data["probabilities"],
            annotations,
            data["view"],
            data["view_confidence"],
            embedding,
            data.get("unusual", 0.0),
        )


class Predictor:
    """A bundle loaded onto one of `indexer.cascade.runtimes`.

    Parameters
    ----------
    bundle
        The trained cascade.
    compute
        Where and in what it computes; its bundle is not looked at.
    batch_size
        Images computed at once. Where it matters, shorter batches are padded to it, so that a
        reading does not depend on which images it is computed with.

    Raises
    ------
    BundleError
        The bundle's tensors do not fit its description, or runtime, device and precision do not
        go together or are not there.
    MissingExtraError
        The runtime is not installed.
    """

    def __init__(
        self,
        bundle: Bundle,
        compute: Compute = Compute(),
        batch_size: int = 32,
    ) -> None:
        self.bundle = bundle
        self.batch_size = batch_size
        self._encoder = load(bundle, compute.runtime, compute.device, compute.precision)
        # Images computed at once; fewer than `batch_size` where the device's memory is small.
        self._at_once = batch_size
        every = bundle.weights()
        self._unusual = UnusualScore.of(every)
        weights = {
            key.removeprefix("annotator."): array
            for key, array in every.items()
            if key.startswith("annotator.")
        }
        annotator, vocabulary = bundle.architecture["annotator"], bundle.labels.vocabulary
        with fitting(bundle.path):
            check_shapes(weights, shapes(len(vocabulary), bundle.dimensions, **annotator))
            self._describer = Describer(weights, **annotator)
            if self._unusual is not None:
                check_shapes(every, UnusualScore.shapes(bundle.dimensions))
        self._token = {word: index for index, word in enumerate(vocabulary)}

    @property
    def precision(self) -> str:
        """What the CNN multiplies in."""
        return self._encoder.precision

    def read(self, canvases: npt.NDArray[np.uint8]) -> list[Reading]:
        """Readings of decoded pictures, in order.

        Parameters
        ----------
        canvases
            Shape (n, size, size), uint8.
        """
        readings: list[Reading] = []
        for start in range(0, len(canvases), self.batch_size):
            batch = canvases[start : start + self.batch_size]
            readings += self.judge(self.encode(batch), batch)
        return readings

    def judge(self, encoded: Encoded, canvases: npt.NDArray[np.uint8]) -> list[Reading]:
        """Readings of pictures of shape (n, size, size) that are encoded already."""
        return self._judged(self.interpret(encoded), canvases)

    @staticmethod
    def vector_and_view(encoded: Encoded) -> tuple[npt.NDArray[np.float32], str]:
        """Vector and view of one encoded picture: a reading without words."""
        embedding, _, view = encoded
        return embedding[0], _view(float(sigmoid(view)[0]))

    def _judged(self, readings: list[Reading], canvases: npt.NDArray[np.uint8]) -> list[Reading]:
        """Readings that tell how unusual the pictures are, and of those say nothing more."""
        if self._unusual is None:
            return readings
        vectors = np.stack([reading.embedding for reading in readings])
        scores = self._unusual(canvases, vectors).round(4).tolist()
        return [
            replace(r, unusual=score, annotations=() if score > UNUSUAL else r.annotations)
            for r, score in zip(readings, scores, strict=True)
        ]

    def encode(self, canvases: npt.NDArray[np.uint8]) -> Encoded:
        """What the CNN alone says of at most `batch_size` pictures of shape (n, size, size).

        Where the device's memory is too small for them they are computed in halves, from then on.

        Raises
        ------
        BundleError
            Not even one picture fits into the device's memory.
        """
        size = self._at_once
        try:
            parts = [
                self._encode(canvases[start : start + size], size)
                for start in range(0, len(canvases), size)
            ]
        except OutOfDeviceMemory as error:
            if size == 1:
                raise BundleError(
                    f"the device has no memory for one picture ({error}): free some, or choose "
                    "`device=cpu`"
                ) from error
            # Another thread may have halved it at the same time.
            self._at_once = min(self._at_once, (size + 1) // 2)
            _log.warning("the device's memory is full: %d images at once now", self._at_once)
            return self.encode(canvases)
        return Encoded(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _encode(self, canvases: npt.NDArray[np.uint8], size: int) -> Encoded:
        count = len(canvases)
        if self._encoder.fixed_batch and count < size:
            batch = np.zeros((size, *canvases.shape[1:]), np.uint8)
            batch[:count] = canvases
            canvases = batch
        return Encoded(*(part[:count] for part in self._encoder.encode(canvases)))

    def interpret(self, encoded: Encoded) -> list[Reading]:
        """Readings made of what the CNN said: findings over their thresholds, described."""
        embedding, logits, view = encoded
        count = len(embedding)
        findings = self.bundle.findings
        probabilities = sigmoid(logits[:, : len(findings)])
        limits = np.array([self.bundle.thresholds[name] for name in findings])
        over = probabilities >= limits
        if NORMAL in findings:
            over[:, findings.index(NORMAL)] = False
        rows, columns = np.nonzero(over)
        found: list[list[Annotation]] = [[] for _ in range(count)]
        for row, column, words in zip(
            rows, columns, self._describe(embedding, rows, columns), strict=True
        ):
            chance = float(probabilities[row, column])
            line = (Word(findings[column], "disease", chance), *words)
            sure = certainty(findings[column], chance, self.bundle.likely)
            found[row].append(Annotation("predicted", line, sure))
        return [
            Reading(
                {f: round(p, 4) for f, p in zip(findings, chances, strict=True)},
                reported(
                    annotations,
                    dict(zip(findings, chances, strict=True)),
                    self.bundle.thresholds,
                    self.bundle.likely,
                ),
                _view(chance),
                round(max(chance, 1 - chance), 4),
                vector,
            )
            for chances, annotations, chance, vector in zip(
                probabilities.tolist(), found, sigmoid(view).tolist(), embedding, strict=True
            )
        ]

    def _describe(
        self,
        embedding: npt.NDArray[np.float32],
        rows: npt.NDArray[np.intp],
        columns: npt.NDArray[np.intp],
    ) -> list[Sequence[Word]]:
        """The qualifiers of the findings at (rows, columns)."""
        findings, vocabulary = self.bundle.findings, self.bundle.labels.vocabulary
        first = np.array([self._token[findings[column]] for column in columns], np.intp)
        return [
            [Word(vocabulary[word], word_kind(vocabulary[word]), chance) for word, chance in line]
            for line in self._describer.describe(embedding[rows], first)
        ]


def _view(lateral: float) -> str:
    return "lateral" if lateral > 0.5 else "frontal"
