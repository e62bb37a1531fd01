"""A trained cascade of the paper, on disk as safetensors and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import Tensor

from indexer.errors import BundleError
from indexer.learning.composite_map import CompositeMap
from indexer.paper.annotations import PaperVocabulary
from indexer.paper.classes import CLASSES
from indexer.paper.networks import Classifier, PaperAnnotator, build_classifier
from indexer.paper.recipe import FROZEN

__all__ = ["FORMAT", "PaperModel", "Variant", "prepare"]

FORMAT = 1
_DESCRIPTION, _WEIGHTS = "paper.json", "paper.safetensors"
_BATCH = 64

_Arrays = dict[str, npt.NDArray[Any]]


@dataclass(slots=True)
class Variant:
    """The networks of one round.

    Parameters
    ----------
    classifier, annotator
        In evaluation mode.
    labels
        Names of the classifier's labels.
    diseases
        The class of each label.
    bias
        Shape (classes,): added to the log-probability of each class before the likeliest is said.
    shape
        Arguments of the two networks.
    """

    classifier: Classifier
    annotator: PaperAnnotator
    labels: tuple[str, ...]
    diseases: tuple[str, ...]
    bias: npt.NDArray[np.float32]
    shape: Mapping[str, Any]

    @torch.inference_mode()
    def embed(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Features (n, features) and log-probabilities of the classes (n, classes)."""
        features, logits = self.classifier(inputs)
        chances = logits.softmax(1)
        columns = torch.tensor([CLASSES.index(d) for d in self.diseases], device=logits.device)
        total = torch.zeros(len(chances), len(CLASSES), device=logits.device)
        return features, total.index_add(1, columns, chances).clamp(min=1e-12).log()

    def name(self, log_chances: Tensor) -> Tensor:
        """The class said of each image, shape (n,), from what `embed` gave."""
        bias = torch.from_numpy(self.bias).to(log_chances.device)
        # A class that no label has can never be meant.
        known = torch.tensor([c in self.diseases for c in CLASSES], device=log_chances.device)
        return (log_chances + bias).masked_fill(~known, -torch.inf).argmax(1)

    def write(self, features: Tensor, classes: Tensor, words: int) -> list[list[int]]:
        """Word numbers of each image's annotation, the class's own word first."""
        first = classes.cpu() + 1
        lines = self.annotator.describe(features.cpu(), first, length=words - 1)
        return [
            [number, *[word for word, _ in line]]
            for number, line in zip(first.tolist(), lines, strict=True)
        ]


@dataclass(slots=True)
class PaperModel:
    """Every variant of a cascade: ``"gru/0"`` is before feedback, ``"gru/1"`` after one round.

    Parameters
    ----------
    backbone, dimensions
        ``"frozen"`` and the length of the embeddings it reads; or the CNN's name and 0.
    size, crop
        Side of the canvases it reads, and of the middle part the CNN sees, in pixels.
    steps
        Most words of an annotation.
    vocabulary
        All words.
    variants
        By name.
    chosen
        The variant of the last round that val prefers.
    commonest
        Per class, its commonest annotation in the train part: a trivial answer to compare with.
    bundle
        Hash of the bundle whose embeddings it reads; None for a CNN.
    record
        How it was trained and what it scored on val.
    maps
        Per variant, the joint vectors' `CompositeMap`, where training drew it; it is not saved.
    """

    backbone: str
    dimensions: int
    size: int
    crop: int
    steps: int
    vocabulary: PaperVocabulary
    variants: dict[str, Variant]
    chosen: str
    commonest: dict[str, tuple[str, ...]] = field(default_factory=dict)
    bundle: str | None = None
    record: dict[str, Any] = field(default_factory=dict)
    maps: dict[str, CompositeMap] = field(default_factory=dict)

    def predict(self, inputs: npt.NDArray[Any]) -> dict[str, list[tuple[str, ...]]]:
        """Per variant, the words of each image: its class, then the annotation.

        Parameters
        ----------
        inputs
            Embeddings, shape (n, dimensions), for a frozen model; else canvases, shape
            (n, size, size), uint8.

        Raises
        ------
        BundleError
            The inputs have another shape.
        """
        wanted = (self.dimensions,) if self.backbone == FROZEN else (self.size, self.size)
        if inputs.shape[1:] != wanted:
            raise BundleError(f"the paper's cascade reads {wanted}, not {inputs.shape[1:]}")
        found: dict[str, list[tuple[str, ...]]] = {}
        for name, variant in self.variants.items():
            found[name] = []
            for start in range(0, len(inputs), _BATCH):
                batch = prepare(inputs[start : start + _BATCH], self.crop)
                device = variant.classifier.head.weight.device
                features, chances = variant.embed(batch.to(device))
                lines = variant.write(features, variant.name(chances), self.steps)
                found[name] += [self.vocabulary.decode(line) for line in lines]
        return found

    def description(self) -> dict[str, Any]:
        """Everything but the tensors, as JSON."""
        return {
            "format": FORMAT,
            "backbone": self.backbone,
            "dimensions": self.dimensions,
            "size": self.size,
            "crop": self.crop,
            "steps": self.steps,
            "bundle": self.bundle,
            "classes": list(CLASSES),
            "vocabulary": list(self.vocabulary.words),
            "chosen": self.chosen,
            "commonest": {name: list(words) for name, words in self.commonest.items()},
            "variants": {
                name: {
                    "labels": list(variant.labels),
                    "diseases": list(variant.diseases),
                    "bias": [round(float(b), 4) for b in variant.bias],
                    "shape": dict(variant.shape),
                }
                for name, variant in self.variants.items()
            },
            "record": self.record,
        }

    def to_tensors(self) -> _Arrays:
        """All tensors by name (``"gru/0.writer.start.weight"``), float32; float16 is enough."""
        return {
            f"{name}.{part}.{key}": value.detach().float().cpu().numpy()
            if value.is_floating_point()
            else value.cpu().numpy()
            for name, variant in self.variants.items()
            for part, module in (
                ("classifier", variant.classifier),
                ("writer", variant.annotator),
            )
            for key, value in module.state_dict().items()
        }

    @classmethod
    def from_parts(cls, description: Mapping[str, Any], tensors: Mapping[str, Any]) -> PaperModel:
        """The model made of what `description` and `to_tensors` gave.

        Raises
        ------
        BundleError
            They do not fit together, or are of another format.
        """
        try:
            if description["format"] != FORMAT or tuple(description["classes"]) != CLASSES:
                raise BundleError("the paper's cascade has another format: train it again")
            vocabulary = PaperVocabulary(tuple(description["vocabulary"]))
            variants = {}
            for name, stored in description["variants"].items():
                labels, shape = tuple(stored["labels"]), stored["shape"]
                classifier = build_classifier(
                    description["backbone"],
                    description["dimensions"],
                    shape["features"],
                    len(labels),
                )
                annotator = PaperAnnotator(
                    classifier.features, len(vocabulary.words), **shape["writer"]
                )
                for part, module in (("classifier", classifier), ("writer", annotator)):
                    prefix = f"{name}.{part}."
                    module.load_state_dict(
                        {
                            key.removeprefix(prefix): torch.from_numpy(np.array(array))
                            for key, array in tensors.items()
                            if key.startswith(prefix)
                        }
                    )
                variants[name] = Variant(
                    classifier.eval(),
                    annotator.eval(),
                    labels,
                    tuple(stored["diseases"]),
                    np.array(stored["bias"], np.float32),
                    shape,
                )
            return cls(
                description["backbone"],
                description["dimensions"],
                description["size"],
                description["crop"],
                description["steps"],
                vocabulary,
                variants,
                description["chosen"],
                {name: tuple(words) for name, words in description["commonest"].items()},
                description["bundle"],
                dict(description["record"]),
            )
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise BundleError(f"the paper's cascade cannot be read: {error!r}") from error

    def save(self, folder: Path) -> None:
        """Write it to `folder`, in half precision."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            key: array.astype(np.float16) if array.dtype == np.float32 else array
            for key, array in self.to_tensors().items()
        }
        save_file(tensors, folder / _WEIGHTS)
        # safetensors leaves it readable by its owner alone, even where a package is for all.
        (folder / _WEIGHTS).chmod(0o644)
        (folder / _DESCRIPTION).write_text(json.dumps(self.description(), indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> PaperModel:
        """Read what `save` wrote.

        Raises
        ------
        BundleError
            The folder holds none, or it is damaged.
        """
        try:
            description = json.loads((folder / _DESCRIPTION).read_bytes())
            tensors = load_file(folder / _WEIGHTS)
        except (OSError, ValueError, SafetensorError) as error:
            raise BundleError(f"no cascade of the paper at {folder}: {error}") from error
        return cls.from_parts(description, tensors)


def prepare(inputs: npt.NDArray[Any], crop: int, draw: torch.Generator | None = None) -> Tensor:
    """A batch for a classifier.

    Parameters
    ----------
    inputs
        Embeddings (n, dimensions), which pass as they are, or canvases (n, size, size), of which
        one crop each is taken: the middle one, or with `draw` a random one. Never mirrored, as
        side is part of the annotation.
    crop
        Its side in pixels.

    Returns
    -------
    Tensor
        Shape (n, dimensions) or (n, 1, crop, crop).
    """
    batch = torch.from_numpy(np.array(inputs))
    if batch.ndim == 2:
        return batch
    room = batch.shape[-1] - crop
    if draw is None:
        corners = [(room // 2, room // 2)] * len(batch)
    else:
        corners = torch.randint(0, room + 1, (len(batch), 2), generator=draw).tolist()
    rows = [
        picture[top : top + crop, left : left + crop]
        for picture, (top, left) in zip(batch, corners, strict=True)
    ]
    return torch.stack(rows)[:, None]
