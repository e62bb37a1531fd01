"""The protocols by which a bundle is judged on a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeAlias

from indexer.cascade.bundle import Bundle
from indexer.cascade.dataset import Part, load_examples
from indexer.cascade.evaluation.baselines import imagenet_vectors, pixel_vectors
from indexer.cascade.evaluation.product import evaluate_product
from indexer.cascade.evaluation.readings import Readings, read
from indexer.cascade.evaluation.retrieval import evaluate_retrieval
from indexer.errors import MissingExtraError

__all__ = ["PROTOCOLS", "Protocol", "evaluate"]

Protocol: TypeAlias = Literal["product", "retrieval"]
PROTOCOLS: tuple[Protocol, ...] = ("product", "retrieval")


def evaluate(
    bundle: Bundle,
    dataset: Path,
    part: Part,
    protocol: Protocol,
    *,
    gallery: Path | None = None,
    gallery_part: Part = "train",
    pool_studies: bool = True,
    device: str = "auto",
    limit: int | None = None,
) -> dict[str, Any]:
    """Judge a bundle.

    Parameters
    ----------
    dataset, part
        The images that are judged (see `indexer.cascade.dataset.load_examples`).
    gallery, gallery_part
        Of the protocol ``"retrieval"``: where similar images are looked for; None for `dataset`.
    pool_studies
        Let the images of a study share their scores and vectors.
    limit
        Use only this many images of each part.

    Returns
    -------
    dict
        As documented in docs/evaluation.md; under ``unpooled`` the same without pooling.

    Raises
    ------
    TrainingError
        A data set is unusable.
    MissingExtraError
        The metrics are not installed.
    """
    _require_metrics()
    readings = read(bundle, load_examples(dataset, part)[:limit], device)
    said: dict[str, Any] = {
        "protocol": protocol,
        "bundle": {"name": bundle.name, "hash": bundle.hash},
        "part": str(part),
        "images": len(readings.studies),
        "studies": len(set(readings.studies)),
        "pool_studies": pool_studies,
    }
    if protocol == "product":
        scores = {pool: evaluate_product(bundle, _pooled(readings, pool)) for pool in (True, False)}
    else:
        other = load_examples(gallery or dataset, gallery_part)[:limit]
        found = read(bundle, other, device)
        vectors = {
            name: function(readings.canvases, found.canvases)
            for name, function in (
                ("raw_pixels_32", pixel_vectors),
                ("imagenet", imagenet_vectors),
            )
        }
        scores = {
            pool: evaluate_retrieval(
                bundle, _pooled(readings, pool), _pooled(found, pool), vectors if pool else {}
            )
            for pool in (True, False)
        }
        if not pool_studies:
            scores[False]["baselines"] = scores[True]["baselines"]
    rest = {k: v for k, v in scores[False].items() if k not in ("baselines", "findings")}
    return said | scores[pool_studies] | ({"unpooled": rest} if pool_studies else {})


def _pooled(readings: Readings, pool: bool) -> Readings:
    return readings.pooled() if pool else readings


def _require_metrics() -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "evaluating needs the extra: pip install 'cxrdex[train]'"
        ) from error
