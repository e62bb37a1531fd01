"""The protocols by which a bundle is judged on a data set; the paper's is in `indexer.paper`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

from indexer.archive.decoding import DecodeSettings
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.datasets.dataset import Part
from indexer.errors import MissingExtraError
from indexer.evaluation.baselines import imagenet_vectors, pixel_vectors
from indexer.evaluation.pictures import load_pictures
from indexer.evaluation.product import evaluate_product
from indexer.evaluation.readings import Readings, read, study_means
from indexer.evaluation.retrieval import evaluate_retrieval

__all__ = ["Protocol", "evaluate", "part_name", "require_metrics"]

Protocol: TypeAlias = Literal["product", "retrieval"]

_log = logging.getLogger(__name__)


def evaluate(
    dataset: Path,
    part: Part,
    protocol: Protocol,
    *,
    compute: Compute = Compute(),
    gallery: Path | None = None,
    gallery_part: Part = "train",
    pool_studies: bool = True,
    limit: int | None = None,
    warn: Callable[[str], None] = _log.warning,
) -> dict[str, Any]:
    """Judge a bundle.

    Parameters
    ----------
    dataset, part
        The images that are judged (see `indexer.datasets.dataset.load_part`).
    compute
        The bundle, and where and in what it computes.
    gallery, gallery_part
        Of the protocol ``"retrieval"``: where similar images are looked for; None for `dataset`.
    pool_studies
        Let the images of a study share their scores, words and vectors.
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
        There is no such bundle.
    MissingExtraError
        The metrics are not installed.
    """
    require_metrics()
    source = compute.load_bundle()
    settings = DecodeSettings(source.size, source.squash, b"evaluation", thumbnail=0)

    def readings_of(folder: Path, images: Part) -> tuple[Readings, dict[str, int]]:
        pictures = load_pictures(folder, images, settings, warn, limit=limit)
        return read(source, pictures, compute), pictures.left_out

    readings, left_out = readings_of(dataset, part)
    said: dict[str, Any] = {
        "protocol": protocol,
        "bundle": {"name": source.name, "hash": source.hash},
        "part": part_name(part),
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
            "gallery_part": part_name(gallery_part),
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


def part_name(part: Part) -> str:
    """A part as a report may show it: a file without its folders."""
    return part.name if isinstance(part, Path) else part


def require_metrics() -> None:
    """Raise `MissingExtraError` where the packages that compute scores are not installed."""
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "evaluating needs the extra: pip install 'cxrdex[train]'"
        ) from error
