"""The protocols by which a bundle is judged on a data set."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

from indexer.archive.decoding import DecodeSettings
from indexer.cascade.bundle import Bundle
from indexer.cascade.dataset import Part
from indexer.cascade.evaluation.baselines import imagenet_vectors, pixel_vectors
from indexer.cascade.evaluation.cascade import Cascade
from indexer.cascade.evaluation.paper import evaluate_paper
from indexer.cascade.evaluation.pictures import load_pictures
from indexer.cascade.evaluation.product import evaluate_product
from indexer.cascade.evaluation.readings import Readings, read, study_means
from indexer.cascade.evaluation.retrieval import evaluate_retrieval
from indexer.cascade.paper.classes import class_of
from indexer.errors import MissingExtraError

__all__ = ["PROTOCOLS", "Protocol", "evaluate"]

Protocol: TypeAlias = Literal["paper", "product", "retrieval"]
PROTOCOLS: tuple[Protocol, ...] = ("paper", "product", "retrieval")

_log = logging.getLogger(__name__)


def evaluate(
    bundle: Path | None,
    dataset: Path,
    part: Part,
    protocol: Protocol,
    *,
    gallery: Path | None = None,
    gallery_part: Part = "train",
    embeddings: Path | None = None,
    pool_studies: bool = True,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    limit: int | None = None,
    warn: Callable[[str], None] = _log.warning,
) -> dict[str, Any]:
    """Judge a bundle.

    Parameters
    ----------
    bundle
        Its folder, the shipped one where None; of the protocol ``"paper"`` also the folder of a
        cascade that was trained alone.
    dataset, part
        The images that are judged (see `indexer.cascade.dataset.load_part`).
    gallery, gallery_part
        Of the protocol ``"retrieval"``: where similar images are looked for; None for `dataset`.
    embeddings
        Of the protocol ``"paper"``: the bundle that a cascade of its own folder reads.
    pool_studies
        Let the images of a study share their scores, words and vectors.
    device, runtime, precision
        Where and how pictures are read; see `indexer.cascade.runtime.Runtime`.
    limit
        Use only this many images of each part.
    warn
        Told of each picture that cannot be decoded and so is left out.

    Returns
    -------
    dict
        As documented in docs/evaluation.md; under ``unpooled`` the same without pooling.

    Raises
    ------
    TrainingError
        A data set is unusable.
    BundleError
        There is no such bundle, or it has no part for the protocol ``"paper"``.
    MissingExtraError
        The metrics are not installed.
    """
    _require_metrics()
    said: dict[str, Any]
    if protocol == "paper":
        cascade = Cascade.load(bundle, embeddings)
        pictures = load_pictures(
            dataset,
            part,
            cascade.settings,
            warn,
            limit=limit,
            keep=lambda example: class_of(example) is not None,
            otherwise="not of one of the 17 classes",
        )
        predictions = cascade.predict(pictures, device, runtime, precision)
        said = {"protocol": protocol, "bundle": {"name": cascade.name, "hash": cascade.hash}}
        if cascade.source is not None and cascade.source.hash != cascade.hash:
            said["embeddings"] = {"name": cascade.source.name, "hash": cascade.source.hash}
        # The paper's task is of single images: nothing is pooled.
        said |= {"part": _name(part), "left_out": pictures.left_out, "pool_studies": False}
        return said | evaluate_paper(
            pictures.examples, predictions, cascade.model.commonest, chosen=cascade.best
        )
    source = Bundle.load(bundle)
    settings = DecodeSettings(source.size, source.squash, b"evaluation", thumbnail=0)

    def readings_of(folder: Path, images: Part) -> tuple[Readings, dict[str, int]]:
        pictures = load_pictures(folder, images, settings, warn, limit=limit)
        return read(source, pictures, device, runtime, precision), pictures.left_out

    readings, left_out = readings_of(dataset, part)
    said = {
        "protocol": protocol,
        "bundle": {"name": source.name, "hash": source.hash},
        "part": _name(part),
        "images": len(readings.studies),
        "studies": len(set(readings.studies)),
        "left_out": left_out,
        "pool_studies": pool_studies,
    }
    if protocol == "product":
        scores = [evaluate_product(source, r) for r in (readings, readings.pooled(source))]
    else:
        place = gallery or dataset
        found, found_left_out = readings_of(place, gallery_part)
        said |= {
            "gallery": place.resolve().name,
            "gallery_part": _name(gallery_part),
            "gallery_left_out": found_left_out,
        }
        scores = _retrieval(source, readings, found)
    alone, pooled = scores
    return said | (pooled | {"unpooled": alone} if pool_studies else alone)


def _retrieval(bundle: Bundle, queries: Readings, gallery: Readings) -> list[dict[str, Any]]:
    """Scores of single images, then of images pooled by study; the baselines are pooled alike."""
    vectors = {
        name: function(queries.canvases, gallery.canvases)
        for name, function in (("raw_pixels_32", pixel_vectors), ("imagenet", imagenet_vectors))
    }
    means = {
        name: (study_means(one, queries.studies), study_means(other, gallery.studies))
        for name, (one, other) in vectors.items()
    }
    return [
        evaluate_retrieval(queries, gallery, vectors),
        evaluate_retrieval(queries.pooled(bundle), gallery.pooled(bundle), means),
    ]


def _name(part: Part) -> str:
    """A part as a report may show it: a file without its folders."""
    return part.name if isinstance(part, Path) else part


def _require_metrics() -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "evaluating needs the extra: pip install 'cxrdex[train]'"
        ) from error
