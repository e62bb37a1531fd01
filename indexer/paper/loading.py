"""The paper's cascade with what it reads: part of a bundle, or a folder that a recipe wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexer.archive.decoding import DecodeSettings
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.devices import choose_device
from indexer.errors import BundleError
from indexer.evaluation.pictures import Pictures
from indexer.evaluation.readings import read
from indexer.paper.model import PaperModel
from indexer.paper.operating_point import OperatingPoint
from indexer.paper.recipe import FROZEN
from indexer.paper.scores import final_variant

__all__ = ["CASCADE", "Cascade"]

#: The variant that takes the class from the calibrated scores, at the operating point.
CASCADE = "cascade"
_FILES = ("paper.json", "paper.safetensors")


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
                    f"{source.path} ({source.hash}): name its bundle with `embeddings`"
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
                predictions[CASCADE] = self.point.predict(
                    self.model, self.source.findings, chances, vectors
                )
            return predictions
        for variant in self.model.variants.values():
            variant.classifier.to(choose_device(compute.device))
        return self.model.predict(pictures.canvases)
