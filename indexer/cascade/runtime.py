"""Reading pictures with a bundle: probabilities, annotations, view and embedding."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from indexer.annotation import NORMAL, Annotation, Word, kind_of
from indexer.cascade.annotator import Annotator
from indexer.cascade.bundle import Bundle
from indexer.cascade.encoder import Encoder, Outputs
from indexer.errors import BundleError

__all__ = ["Reading", "Runtime", "choose_device", "keep_freed_memory"]

# The annotator's rows are padded to this many, so that a row's answer never depends on how
# many others it is computed with.
_ROWS = 16
# Parameters of glibc's mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


@dataclass(frozen=True, slots=True)
class Reading:
    """What the cascade says of one image.

    Parameters
    ----------
    probabilities
        Per finding, 0..1.
    annotations
        Findings over their thresholds, likeliest first; one ``normal`` where there is none.
    view, view_confidence
        ``"frontal"`` or ``"lateral"``, and its probability.
    embedding
        Shape (dimensions,): the search vector (see `indexer.cascade.encoder.Encoder`).
    """

    probabilities: dict[str, float]
    annotations: tuple[Annotation, ...]
    view: str
    view_confidence: float
    embedding: npt.NDArray[np.float32]

    def to_json(self) -> dict[str, Any]:
        """A JSON object without the vectors; the embedding lives in the shards."""
        return {
            "probabilities": self.probabilities,
            "annotations": [a.to_json() for a in self.annotations],
            "view": self.view,
            "view_confidence": self.view_confidence,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any], embedding: npt.NDArray[np.float32]) -> Reading:
        """The reading of which `to_json` made `data`."""
        annotations = tuple(Annotation.from_json(a) for a in data["annotations"])
        return cls(
            data["probabilities"], annotations, data["view"], data["view_confidence"], embedding
        )


def choose_device(name: str = "auto") -> torch.device:
    """The named device; for ``"auto"`` the GPU where there is one.

    Raises
    ------
    BundleError
        The device is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise BundleError(f"no device {name!r} here: choose 'cpu' or 'auto'")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise BundleError(f"no device is named {name!r}: choose 'auto', 'cpu' or 'cuda'") from error


def keep_freed_memory(most: int = 2**30) -> None:
    """Let glibc keep the blocks that a batch frees.

    Parameters
    ----------
    most
        Bytes kept at most; -1 for no limit.

    By default it gives large ones back to the kernel at once, and faulting them in again for the
    next batch takes longer than the model's own work. Without effect on other C libraries.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, most)


class Runtime:
    """A bundle loaded onto a device.

    Parameters
    ----------
    bundle
        The trained cascade.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    batch_size
        Images computed at once. Shorter batches are padded to it, so that a reading does not
        depend on which images it is computed with.

    Raises
    ------
    BundleError
        The bundle's tensors do not fit its description, or the device is not there.
    """

    def __init__(self, bundle: Bundle, device: str = "auto", batch_size: int = 32) -> None:
        self.bundle = bundle
        self.batch_size = batch_size
        self._device = choose_device(device)
        keep_freed_memory()
        labels, dimensions = bundle.labels, bundle.dimensions
        encoder = Encoder(
            bundle.architecture["backbones"],
            dimensions,
            len(labels.findings) + len(labels.pairs),
            len(labels.findings),
            bundle.architecture["sentences"],
        )
        annotator = Annotator(
            dimensions, len(labels.vocabulary), **bundle.architecture["annotator"]
        )
        weights = {name: torch.from_numpy(array) for name, array in bundle.weights().items()}
        try:
            for prefix, module in (("encoder.", encoder), ("annotator.", annotator)):
                state = {
                    k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)
                }
                module.load_state_dict(state)
        except RuntimeError as error:
            raise BundleError(f"the bundle {bundle.path} is damaged: {error}") from error
        encoder.to(self._device).to(memory_format=torch.channels_last)
        self._encoder = encoder.eval()
        self._annotator = annotator.eval()
        self._token = {word: index for index, word in enumerate(labels.vocabulary)}

    @property
    def device(self) -> str:
        """Name of the device in use."""
        return str(self._device)

    def read(self, canvases: npt.NDArray[np.uint8]) -> list[Reading]:
        """Readings of decoded pictures, in order.

        Parameters
        ----------
        canvases
            Shape (n, size, size), uint8.
        """
        readings: list[Reading] = []
        for start in range(0, len(canvases), self.batch_size):
            readings += self.interpret(self.encode(canvases[start : start + self.batch_size]))
        return readings

    @torch.inference_mode()
    def text_space(self, embeddings: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Where pictures lie among the vectors of `indexer.cascade.sentences`.

        Parameters
        ----------
        embeddings
            Shape (n, dimensions), of readings or of a database.

        Returns
        -------
        numpy.ndarray
            Shape (n, 384): the larger the inner product with a text's vector, the better it fits.

        Raises
        ------
        BundleError
            The bundle was trained without sentences.
        """
        if not self.bundle.has_text_space:
            raise BundleError(
                f"the bundle {self.bundle.path} knows no sentences: train one with text"
            )
        vectors = torch.from_numpy(embeddings.astype(np.float32)).to(self._device)
        placed: npt.NDArray[np.float32] = self._encoder.place(vectors).cpu().numpy()
        return placed

    @torch.inference_mode()
    def encode(self, canvases: npt.NDArray[np.uint8]) -> Outputs:
        """What the CNN alone says of at most `batch_size` pictures of shape (n, size, size)."""
        count = len(canvases)
        batch = np.zeros((self.batch_size, *canvases.shape[1:]), np.uint8)
        batch[:count] = canvases
        pictures = torch.from_numpy(batch)[:, None].to(self._device)
        return Outputs(*(part.cpu()[:count] for part in self._encoder(pictures)))

    @torch.inference_mode()
    def interpret(self, outputs: Outputs) -> list[Reading]:
        """Readings made of what the CNN said: findings over their thresholds, described."""
        embedding, logits, lateral, _ = outputs
        count = len(embedding)
        findings = self.bundle.findings
        probabilities = logits[:, : len(findings)].sigmoid().numpy()
        limits = np.array([self.bundle.thresholds[name] for name in findings])
        reported = probabilities >= limits
        if NORMAL in findings:
            reported[:, findings.index(NORMAL)] = False
        rows, columns = np.nonzero(reported)
        found: list[list[Annotation]] = [[] for _ in range(count)]
        for row, column, words in zip(
            rows, columns, self._describe(embedding, rows, columns), strict=True
        ):
            disease = Word(findings[column], "disease", float(probabilities[row, column]))
            found[row].append(Annotation("predicted", (disease, *words)))
        lateral_chance = lateral.sigmoid().tolist()
        return [
            Reading(
                {f: round(float(p), 4) for f, p in zip(findings, chances, strict=True)},
                tuple(sorted(annotations, key=lambda a: -a.confidence))
                or (self._normal(dict(zip(findings, chances, strict=True))),),
                "lateral" if chance > 0.5 else "frontal",
                round(max(chance, 1 - chance), 4),
                vector,
            )
            for chances, annotations, chance, vector in zip(
                probabilities, found, lateral_chance, embedding.numpy(), strict=True
            )
        ]

    @staticmethod
    def _normal(chances: dict[str, Any]) -> Annotation:
        """Nothing is over its threshold; a bundle without that label gives what remains."""
        rest = 1 - max(chances.values(), default=0.0)
        word = Word(NORMAL, "disease", float(chances.get(NORMAL, rest)))
        return Annotation("predicted", (word,))

    def _describe(
        self, embedding: torch.Tensor, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
    ) -> list[Sequence[Word]]:
        """The qualifiers of the findings at (rows, columns)."""
        findings, vocabulary = self.bundle.findings, self.bundle.labels.vocabulary
        found: list[Sequence[Word]] = []
        for start in range(0, len(rows), _ROWS):
            part = slice(start, start + _ROWS)
            tokens = [self._token[findings[column]] for column in columns[part]]
            padding = _ROWS - len(tokens)
            images = [*rows[part].tolist(), *[0] * padding]
            first = torch.tensor([*tokens, *[tokens[0]] * padding])
            lines = self._annotator.describe(embedding[images], first)[: len(tokens)]
            found += [
                [Word(vocabulary[word], kind_of(vocabulary[word]), chance) for word, chance in line]
                for line in lines
            ]
        return found
