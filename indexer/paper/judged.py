"""The paper's cascade that is judged: part of a bundle, or a folder that a recipe wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from indexer.annotation import NORMAL
from indexer.archive.decoding import DecodeSettings
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.devices import choose_device
from indexer.errors import BundleError
from indexer.evaluation.pictures import Pictures
from indexer.evaluation.readings import read
from indexer.paper.classes import CLASSES
from indexer.paper.model import PaperModel
from indexer.paper.recipe import FROZEN
from indexer.paper.scores import ORDERS, bleu, final_variant

__all__ = ["CASCADE", "Cascade", "OperatingPoint", "choose_point"]

#: The variant whose class the calibrated scores say, at the operating point.
CASCADE = "cascade"
_FILES = ("paper.json", "paper.safetensors")
# Limits that are tried: quantiles of the chances of the val images.
_POINTS = 41

_Words = tuple[str, ...]
_Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """How the product's own reading does the paper's task.

    Parameters
    ----------
    variant
        Whose RNN writes the words after the class.
    limit
        The chance of ``normal`` from which on an image is called so; below it has the likeliest of
        the other classes.
    curve
        What every limit that was tried scores on val: ``limit`` and ``bleu`` by order.
    """

    variant: str
    limit: float
    curve: Sequence[Mapping[str, Any]] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)

    def say(
        self, model: PaperModel, findings: Sequence[str], chances: _Floats, inputs: _Floats
    ) -> list[_Words]:
        """The words of images.

        Parameters
        ----------
        findings, chances
            Names, and their calibrated chances of shape (n, findings).
        inputs
            Shape (n, dimensions): search vectors.
        """
        normal, ill = _either(model, self.variant, findings, chances, inputs)
        called = _chance_of_normal(findings, chances) >= self.limit
        return [one if yes else other for one, other, yes in zip(normal, ill, called, strict=True)]


def choose_point(
    model: PaperModel,
    findings: Sequence[str],
    chances: _Floats,
    inputs: _Floats,
    references: Sequence[_Words],
) -> OperatingPoint | None:
    """The operating point with the best sum of BLEU-1 to BLEU-4; None where the bundle does not
    score ``normal`` and another class.

    Parameters
    ----------
    references
        The true words of each image; the others as of `OperatingPoint.say`.
    """
    if NORMAL not in findings or not set(findings) & (set(CLASSES) - {NORMAL}):
        return None
    chance = _chance_of_normal(findings, chances)
    limits = np.unique(np.quantile(chance, np.linspace(0, 1, _POINTS)).round(4))
    best: tuple[float, OperatingPoint] | None = None
    for name in model.variants:
        normal, ill = _either(model, name, findings, chances, inputs)
        curve = []
        for limit in [*limits.tolist(), 1.0001]:
            written = [
                one if yes else other
                for one, other, yes in zip(normal, ill, chance >= limit, strict=True)
            ]
            scores = {str(n): round(bleu(references, written, n) or 0.0, 1) for n in ORDERS}
            right = [words[0] == truth[0] for words, truth in zip(written, references, strict=True)]
            accuracy = round(100 * float(np.mean(right)), 1)
            curve.append({"limit": limit, "accuracy": accuracy, "bleu": scores})
        top = max(curve, key=lambda row: sum(row["bleu"].values()))
        worth = sum(top["bleu"].values())
        if best is None or worth > best[0]:
            best = worth, OperatingPoint(name, top["limit"], tuple(curve))
    return None if best is None else best[1]


def _chance_of_normal(findings: Sequence[str], chances: _Floats) -> _Floats:
    return chances[:, list(findings).index(NORMAL)]


@torch.inference_mode()
def _either(
    model: PaperModel, name: str, findings: Sequence[str], chances: _Floats, inputs: _Floats
) -> tuple[list[_Words], list[_Words]]:
    """What is said of each image if it is normal, and if it is not."""
    columns = [list(findings).index(c) if c in findings and c != NORMAL else None for c in CLASSES]
    ill = np.stack(
        [np.full(len(chances), -1.0) if c is None else chances[:, c] for c in columns], 1
    ).argmax(1)
    variant = model.variants[name]
    features, _ = variant.embed(torch.from_numpy(inputs.astype(np.float32)))
    written = [
        [
            model.vocabulary.decode(line)
            for line in variant.write(features, torch.from_numpy(classes), model.steps)
        ]
        for classes in (np.full(len(ill), CLASSES.index(NORMAL)), ill)
    ]
    return written[0], written[1]


@dataclass(frozen=True, slots=True)
class Cascade:
    """A cascade of the paper with what it reads.

    Parameters
    ----------
    model
        The cascade.
    name, hash
        Of the bundle that it is part of; or its recipe, and 16 hex digits over its files.
    source
        The bundle whose embeddings it reads; None where it reads pictures.
    record
        How it was trained and what it scored on val; empty where that was not kept.
    """

    model: PaperModel
    name: str
    hash: str
    source: Bundle | None
    record: Mapping[str, Any]

    @classmethod
    def load(cls, path: Path | None, embeddings: Path | None = None) -> Cascade:
        """The cascade of a bundle, or the one in a folder of its own.

        Parameters
        ----------
        path
            A bundle, or what ``cxrdex train --recipe`` wrote; the shipped bundle where None.
        embeddings
            For a cascade over the embeddings of a bundle: that bundle; the shipped one where None.

        Raises
        ------
        BundleError
            There is none, it is damaged, or it reads the embeddings of another bundle.
        """
        if path is not None and (path / _FILES[0]).is_file():
            return cls._alone(path, embeddings)
        bundle = Bundle.load(path)
        if embeddings is not None:
            raise BundleError(f"{bundle.path} is a bundle: it reads its own embeddings")
        if bundle.paper is None:
            raise BundleError(
                f"the bundle {bundle.path} has no cascade of the paper's 17 classes: "
                "train it on a data set that shows them"
            )
        tensors = {k.removeprefix("paper."): v for k, v in bundle.weights().items()}
        model = PaperModel.from_parts(bundle.paper, tensors)
        return cls(model, bundle.name, bundle.hash, bundle, bundle.record.get("paper") or {})

    @classmethod
    def _alone(cls, path: Path, embeddings: Path | None) -> Cascade:
        model = PaperModel.load(path)
        digest = hashlib.sha256(b"".join((path / name).read_bytes() for name in _FILES))
        source = None
        if model.backbone == FROZEN:
            source = Bundle.load(embeddings)
            if model.bundle != source.hash:
                raise BundleError(
                    f"the cascade {path} reads embeddings of the bundle {model.bundle}, not of "
                    f"{source.path} ({source.hash}): name its bundle with --embeddings"
                )
        elif embeddings is not None:
            raise BundleError(f"the cascade {path} reads pictures, no bundle's embeddings")
        name = model.record.get("recipe", {}).get("name", path.name)
        return cls(model, name, digest.hexdigest()[:16], source, model.record)

    @property
    def settings(self) -> DecodeSettings:
        """How the pictures that it sees are decoded."""
        source = self.source
        if source is None:
            return DecodeSettings(self.model.size, True, b"evaluation", thumbnail=0)
        return DecodeSettings(
            source.size, source.squash, b"evaluation", borders=source.borders, thumbnail=0
        )

    @property
    def point(self) -> OperatingPoint | None:
        """Where the product's own reading does the task; None of a cascade alone."""
        description = (
            None if self.source is None or self.source.paper is None else self.source.paper
        )
        found = (description or {}).get("operating_point")
        return None if found is None or self.hash != self.source_hash else OperatingPoint(**found)

    @property
    def source_hash(self) -> str:
        """Of the bundle whose embeddings it reads; empty where it reads pictures."""
        return "" if self.source is None else self.source.hash

    @property
    def best(self) -> str:
        """The variant that stands for it: at the operating point, where there is one; else see
        `final_variant`."""
        if self.point is not None:
            return CASCADE
        recorded = self.record.get("val", {}).get("variants")
        return final_variant(self.model.variants, self.model.chosen, recorded)

    def predict(self, pictures: Pictures, compute: Compute) -> dict[str, list[tuple[str, ...]]]:
        """Per variant, the words of each picture: its class, then the annotation."""
        if self.source is not None:
            readings = read(self.source, pictures, compute)
            predictions = self.model.predict(readings.embeddings)
            if self.point is not None:
                chances = 1 / (1 + np.exp(-readings.logits.astype(np.float64)))
                vectors = readings.embeddings
                predictions[CASCADE] = self.point.say(
                    self.model, self.source.findings, chances, vectors
                )
            return predictions
        for variant in self.model.variants.values():
            variant.classifier.to(choose_device(compute.device))
        return self.model.predict(pictures.canvases)
