"""A bundle: a trained cascade on disk, `bundle.json` beside `weights.safetensors`."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer import advice
from indexer.cascade.bundle_checks import (
    check_description,
    check_header,
    check_tensors,
    read_description,
)
from indexer.cascade.labels import LabelSet
from indexer.errors import BundleError

__all__ = ["FORMAT", "SHIPPED", "Bundle", "BundleDescription", "with_nulls"]

FORMAT = 3
SHIPPED = Path(__file__).parent / "bundles" / "cxrdex-base"
_DESCRIPTION = "bundle.json"
_WEIGHTS = "weights.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleDescription:
    """What a bundle says of itself.

    Parameters
    ----------
    name
        Its name, for people.
    size, squash
        Side of the square canvas in pixels; whether the picture is squashed to it or padded.
    dimensions
        Length of the embedding.
    labels
        Findings, pairs and words it can say.
    thresholds
        Per finding, the probability from which on it is reported.
    likely
        Per finding, the probability from which on it is likely; one that is not here never is, and
        is only ever possible. None of a bundle without such thresholds, in which a finding is
        likely from a probability of one half on.
    architecture
        Arguments of the encoder and the annotator.
    record
        How it was trained and what it scored.
    paper
        Description of the paper's cascade over its embeddings, whose tensors are named
        ``paper.``; None where it has none.
    """

    name: str
    size: int
    squash: bool
    dimensions: int
    labels: LabelSet
    thresholds: Mapping[str, float]
    architecture: Mapping[str, Any]
    record: Mapping[str, Any]
    paper: Mapping[str, Any] | None = None
    likely: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle(BundleDescription):
    """A trained cascade and all that is needed to use it as it was trained.

    Parameters
    ----------
    path
        The folder it was read from.
    hash
        16 hex digits over description and weights: two bundles of one hash read alike.
    """

    path: Path
    hash: str

    @property
    def place(self) -> str | None:
        """Where it is found again: its folder; None of the one that ships."""
        return None if self.path == SHIPPED else str(self.path.resolve())

    @classmethod
    def description_at(cls, path: Path | None = None) -> Mapping[str, Any]:
        """What a bundle says of itself, its weights not looked at, nor its hash.

        Raises
        ------
        BundleError
            The folder is no bundle.
        """
        path = path or SHIPPED
        with _reading(path):
            data: dict[str, Any] = read_description(path / _DESCRIPTION)
            check_description(data, path)
            return data

    @property
    def findings(self) -> tuple[str, ...]:
        """The findings it can report, ``normal`` among them."""
        return self.labels.findings

    @property
    def borders(self) -> bool:
        """Whether even borders are cut off its pictures before they are scaled."""
        return bool(self.architecture.get("borders", False))

    @property
    def has_text_space(self) -> bool:
        """Whether it places pictures among sentences."""
        return bool(self.architecture["sentences"])

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """All tensors by name, stored in half precision where that loses nothing that shows."""
        # A search by id reads the description alone.
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            tensors = load_file(self.path / _WEIGHTS)
        except (OSError, ValueError, SafetensorError) as error:
            raise BundleError(f"the bundle {self.path} cannot be read: {error}") from error
        check_tensors(tensors, self.path)
        return tensors

    @classmethod
    def load(cls, path: Path | None = None) -> Bundle:
        """Read a bundle; the one that ships with the package where `path` is None.

        Raises
        ------
        BundleError
            The folder is no bundle, is damaged, or has another format version.
        """
        path = path or SHIPPED
        with _reading(path):
            data = read_description(path / _DESCRIPTION)
            version = data["format"]
            if version != FORMAT:
                raise BundleError(
                    f"the bundle {path} has format {version}; this version of cxrdex reads "
                    f"format {FORMAT}: train it again with {advice.TRAIN}"
                )
            check_description(data, path)
            labels = len(data["findings"]) + len(data["pairs"]) + len(data["composites"])
            check_header(path / _WEIGHTS, labels * data["dimensions"])
            found = _digest(data, path / _WEIGHTS)
            if found != data["hash"]:
                raise BundleError(
                    f"the bundle {path} is damaged: its contents hash to {found}, "
                    f"but it says {data['hash']}"
                )
            return cls(
                path=path,
                name=data["name"],
                hash=data["hash"],
                size=data["size"],
                squash=data["squash"],
                dimensions=data["dimensions"],
                labels=LabelSet(
                    findings=tuple(data["findings"]),
                    pairs=tuple((finding, word) for finding, word in data["pairs"]),
                    vocabulary=tuple(data["vocabulary"]),
                    composites=tuple(data["composites"]),
                ),
                thresholds=data["thresholds"],
                architecture=data["architecture"],
                record=data["record"],
                paper=data["paper"],
                likely=data.get("likely"),
            )

    @classmethod
    def save(
        cls, path: Path, description: BundleDescription, weights: Mapping[str, npt.NDArray[Any]]
    ) -> Bundle:
        """Write a bundle to the folder `path` and read it back.

        Raises
        ------
        BundleError
            A tensor holds a number that is not finite.
        """
        from safetensors.numpy import save_file

        halves = {key: _half(key, value) for key, value in weights.items()}
        path.mkdir(parents=True, exist_ok=True)
        save_file(halves, path / _WEIGHTS)
        # safetensors leaves it readable by its owner alone, even where a package is for all.
        (path / _WEIGHTS).chmod(0o644)
        data: dict[str, Any] = {
            "format": FORMAT,
            "name": description.name,
            "size": description.size,
            "squash": description.squash,
            "dimensions": description.dimensions,
            "findings": description.labels.findings,
            "pairs": description.labels.pairs,
            "vocabulary": description.labels.vocabulary,
            "composites": description.labels.composites,
            "thresholds": dict(description.thresholds),
            "architecture": dict(description.architecture),
            "paper": None if description.paper is None else dict(description.paper),
            "record": with_nulls(dict(description.record)),
        }
        if description.likely is not None:
            data["likely"] = dict(description.likely)
        data["hash"] = _digest(data, path / _WEIGHTS)
        (path / _DESCRIPTION).write_text(json.dumps(data, indent=1) + "\n")
        return cls.load(path)


def with_nulls(value: Any) -> Any:
    """The same with null for what is not a number, which JSON does not know: a score that nothing
    defines."""
    if isinstance(value, Mapping):
        return {key: with_nulls(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [with_nulls(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _half(key: str, value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Half precision, where it reaches far enough."""
    if value.dtype != np.float32:
        return value
    if not np.isfinite(value).all():
        raise BundleError(f"{key} is not finite: the training went astray, try a lower rate")
    # Networks of a wide range of grey values have variances beyond it.
    wide = np.abs(value).max(initial=0) > np.finfo(np.float16).max
    return value if wide else value.astype(np.float16)


def _digest(description: Mapping[str, Any], weights: Path) -> str:
    """Hash over everything that changes a reading; the record and the name do not."""
    hashed = {k: v for k, v in description.items() if k not in {"hash", "record", "name"}}
    digest = hashlib.sha256(json.dumps(hashed, sort_keys=True).encode())
    digest.update(weights.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """One error for whatever is wrong with the files of a bundle."""
    try:
        yield
    except FileNotFoundError as error:
        raise BundleError(
            f"no bundle at {path}: a bundle is a folder with {_DESCRIPTION} and {_WEIGHTS}; "
            "where it lies elsewhere now, name its place with `bundle` or in CXRDEX_BUNDLE"
        ) from error
    except OSError as error:
        why = error.strerror or error
        raise BundleError(f"the bundle {path} cannot be read: {why}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"the bundle {path} is damaged: {error}") from error
