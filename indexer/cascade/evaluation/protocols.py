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
from indexer.errors import BundleError, MissingExtraError

__all__ = ["PROTOCOLS", "Protocol", "evaluate"]

Protocol: TypeAlias = Literal["paper", "product", "retrieval"]
PROTOCOLS: tuple[Protocol, ...] = ("paper", "product", "retrieval")


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
    runtime: str = "auto",
    precision: str = "auto",
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
    device, runtime, precision
        Where and how pictures are read; see `indexer.cascade.runtime.Runtime`.
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
    BundleError
        The bundle has no part for the protocol ``"paper"``.
    MissingExtraError
        The metrics are not installed.
    """
    _require_metrics()
    readings = read(bundle, load_examples(dataset, part)[:limit], device, runtime, precision)
    said: dict[str, Any] = {
        "protocol": protocol,
        "bundle": {"name": bundle.name, "hash": bundle.hash},
        "part": str(part),
        "images": len(readings.studies),
        "studies": len(set(readings.studies)),
        "pool_studies": pool_studies,
    }
    if protocol == "paper":
        # The paper's task is of single images: nothing is pooled.
        return said | {"pool_studies": False} | _paper(bundle, readings)
    if protocol == "product":
        scores = {pool: evaluate_product(bundle, _pooled(readings, pool)) for pool in (True, False)}
    else:
        other = load_examples(gallery or dataset, gallery_part)[:limit]
        found = read(bundle, other, device, runtime, precision)
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


def _paper(bundle: Bundle, readings: Readings) -> dict[str, Any]:
    from indexer.cascade.evaluation.paper import evaluate_paper
    from indexer.cascade.paper.model import PaperModel

    if bundle.paper is None:
        raise BundleError(
            f"the bundle {bundle.path} has no cascade of the paper's 17 classes: "
            "train it on a data set that shows them"
        )
    tensors = {k.removeprefix("paper."): v for k, v in bundle.weights().items()}
    model = PaperModel.from_parts(bundle.paper, tensors)
    predictions = model.predict(readings.embeddings)
    return evaluate_paper(
        readings.examples, predictions, commonest=model.commonest, chosen=model.chosen
    )


def _pooled(readings: Readings, pool: bool) -> Readings:
    return readings.pooled() if pool else readings


def _require_metrics() -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "evaluating needs the extra: pip install 'cxrdex[train]'"
        ) from error
