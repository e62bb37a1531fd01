"""The protocols by which a bundle is judged on a data set; the paper's is in `indexer.paper`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

from indexer.archive.decoding import DecodeSettings
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.datasets.dataset import Needs, Part
from indexer.errors import BundleError, MissingExtraError
from indexer.evaluation.captions import evaluate_captions
from indexer.evaluation.pictures import load_pictures
from indexer.evaluation.product import evaluate_product
from indexer.evaluation.readings import Readings, read, study_means
from indexer.evaluation.retrieval import evaluate_retrieval
from indexer.words import sentences

__all__ = [
    "PROTOCOLS",
    "ProtocolName",
    "evaluate",
    "load_baselines",
    "part_name",
    "require_metrics",
]

Baselines: TypeAlias = dict[str, Callable[..., tuple[Any, Any]]]

ProtocolName: TypeAlias = Literal["product", "retrieval", "words"]
PROTOCOLS: tuple[ProtocolName, ...] = ("product", "retrieval", "words")

_log = logging.getLogger(__name__)


def evaluate(
    dataset: Path,
    part: Part,
    protocol: ProtocolName,
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
        The metrics, or for words the sentence model, are not installed.
    """
    require_metrics()
    source = compute.load_bundle()
    needs: Needs = "annotations"
    if protocol == "words":
        if not source.has_text_space:
            raise BundleError(f"the bundle {source.path} knows no sentences: train one with text")
        sentences.model_path()
        needs = "text"
    baselines = load_baselines(warn) if protocol == "retrieval" else {}
    settings = DecodeSettings(
        source.size, source.squash, b"evaluation", thumbnail=0, borders=source.borders
    )

    def read_part(folder: Path, images: Part) -> tuple[Readings, dict[str, int]]:
        pictures = load_pictures(folder, images, settings, warn, needs=needs, limit=limit)
        return read(source, pictures, compute), pictures.left_out

    readings, left_out = read_part(dataset, part)
    result: dict[str, Any] = {
        "protocol": protocol,
        "bundle": {"name": source.name, "hash": source.hash},
        "part": part_name(part),
        "images": len(readings.studies),
        "studies": len(set(readings.studies)),
        "left_out": left_out,
        "pool_studies": pool_studies,
    }
    if protocol == "words":
        return result | {"pool_studies": False} | evaluate_captions(readings)
    if protocol == "product":
        scores = [evaluate_product(source, r) for r in (readings, readings.pooled(source))]
    else:
        place = gallery or dataset
        found, found_left_out = read_part(place, gallery_part)
        result |= {
            "gallery": place.resolve().name,
            "gallery_part": part_name(gallery_part),
            "gallery_left_out": found_left_out,
        }
        scores = _retrieval(source, readings, found, baselines)
    alone, pooled = scores
    return result | (pooled | {"unpooled": alone} if pool_studies else alone)


def _retrieval(
    bundle: Bundle, queries: Readings, gallery: Readings, baselines: Baselines
) -> list[dict[str, Any]]:
    """Scores of single images, then of images pooled by study; the baselines are pooled alike."""
    vectors = {
        name: function(queries.canvases, gallery.canvases) for name, function in baselines.items()
    }
    means = {
        name: (study_means(one, queries.studies), study_means(other, gallery.studies))
        for name, (one, other) in vectors.items()
    }
    return [
        evaluate_retrieval(queries, gallery, vectors),
        evaluate_retrieval(queries.pooled(bundle), gallery.pooled(bundle), means),
    ]


def load_baselines(warn: Callable[[str], None]) -> Baselines:
    """What the search by picture is compared with; what is not installed is left out.

    Parameters
    ----------
    warn
        Told of each that is left out.
    """
    try:
        from indexer.evaluation import baselines
        from indexer.learning.pretrained import imagenet_weights

        imagenet_weights(baselines.IMAGENET_BACKBONE)
    except (ImportError, MissingExtraError):
        warn("the baselines are left out: they need the extra: pip install 'cxrdex[train]'")
        return {}
    return {"raw_pixels_32": baselines.pixel_vectors, "imagenet": baselines.imagenet_vectors}


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
