"""Does the index cost retrieval anything on real images, and would fewer dimensions do?

    python -m benchmarks.quantised ../shared/openi

Precision at 5 of abnormal val images of Open-i against a part of train, as in
`benchmarks.neighbours`, once by comparing all vectors and once through each kind of index that
`indexer.database.vectors.plan` chooses for larger databases; then by comparing all with the
first principal components only, with the CNN computed in each precision, and with what the search
vectors are projected from.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import torch

from benchmarks.record import write_result
from indexer.annotation import NORMAL
from indexer.archive.decoding import DecodeSettings
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.reading import Predictor
from indexer.cascade.runtimes import PRECISIONS
from indexer.cascade.runtimes.reference import build_encoder
from indexer.database.vectors.builder import build_vectors
from indexer.database.vectors.index import Vectors
from indexer.database.vectors.plan import IndexPlan
from indexer.database.vectors.shards import Shard, Shards, write_shard
from indexer.datasets.dataset import Part, load_canvases, load_examples

__all__ = ["encode"]

_BATCH = 32
_DIMENSIONS = (192, 128, 64, 32)

Rows = npt.NDArray[np.float32]


def encode(
    dataset: Path, part: Part, count: int | None = None, precision: str = "auto"
) -> tuple[Rows, list[set[str]]]:
    """Search vectors of images of a part, shape (n, dimensions), and their human diseases.

    Parameters
    ----------
    count
        Take so many, chosen at random; None for all.
    precision
        Of `indexer.cascade.reading.Predictor`.
    """
    runtime = Predictor(Bundle.load(None), Compute(precision=precision))
    return _apply(dataset, part, count, lambda batch: runtime.encode(batch).embedding)


def _encode_whole(dataset: Path, part: Part, count: int | None = None) -> Rows:
    """What the search vectors of `encode` are projected from, by torch in float32."""
    encoder = build_encoder(Bundle.load(None))
    seen: list[torch.Tensor] = []
    encoder.join.register_forward_pre_hook(lambda _, given: seen.append(given[0]))

    @torch.inference_mode()
    def read(batch: npt.NDArray[np.uint8]) -> Rows:
        encoder(torch.from_numpy(batch)[:, None])
        return seen.pop().numpy()

    return _apply(dataset, part, count, read)[0]


def _apply(
    dataset: Path, part: Part, count: int | None, read: Callable[[npt.NDArray[np.uint8]], Rows]
) -> tuple[Rows, list[set[str]]]:
    bundle = Bundle.load(None)
    examples = load_examples(dataset, part)
    chosen = np.sort(np.random.default_rng(0).permutation(len(examples))[:count])
    examples = [examples[i] for i in chosen]
    settings = DecodeSettings(
        bundle.size, bundle.squash, b"benchmark", borders=bundle.borders, thumbnail=0
    )
    with tempfile.TemporaryDirectory() as cache:
        canvases = load_canvases(examples, settings, Path(cache))
        starts = range(0, len(canvases), _BATCH)
        found = [read(np.array(canvases[start : start + _BATCH])) for start in starts]
    return np.concatenate(found), [{a.disease for a in e.annotations} for e in examples]


def _through_index(
    plan: IndexPlan, gallery: Rows, queries: Rows
) -> tuple[npt.NDArray[np.int64], Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checksum = write_shard(folder, 1, gallery, np.arange(len(gallery)))
        shards = Shards(folder, [Shard(1, len(gallery), len(gallery), checksum)], None, 256)
        generation = build_vectors(folder / "vectors", shards, plan=plan)
        vectors = Vectors(folder / "vectors", shards)
        return np.stack([vectors.search(query, 5)[1] for query in queries]), generation.to_json()


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path, exists=True))
@click.option("--images", default=2500, show_default=True, help="Train images in the gallery.")
def main(dataset: Path, images: int) -> None:
    """Print and keep precision at 5."""
    gallery, gallery_terms = encode(dataset, "train", images)
    rows, terms = encode(dataset, "val")
    abnormal = [row for row, names in enumerate(terms) if NORMAL not in names]
    queries = rows[abnormal]
    relevant = np.array([[bool(terms[row] & names) for names in gallery_terms] for row in abnormal])

    def precision(near: npt.NDArray[np.integer]) -> float:
        return round(float(np.take_along_axis(relevant, near, axis=1).mean()), 4)

    def exact(queries: Rows, gallery: Rows) -> npt.NDArray[np.integer]:
        half = gallery.astype(np.float16).astype(np.float32)
        return np.argsort(-(queries @ half.T), axis=1, kind="stable")[:, :5]

    truth = exact(queries, gallery)
    through = {}
    for plan in (
        IndexPlan(0, "SQfp16"),
        IndexPlan(200, "SQ8"),
        IndexPlan(200, "PQ64x8"),
        IndexPlan(200, "PQ32x8"),
    ):
        near, figures = _through_index(plan, gallery, queries)
        same = float(np.mean([np.isin(a, b).mean() for a, b in zip(truth, near, strict=True)]))
        names = ("nprobe", "rerank", "recall")
        through[plan.kind] = {
            "precision_at_5": precision(near),
            "same_as_exact": round(same, 4),
            **{name: figures[name] for name in names},
        }
    # Not centred: what is compared is the inner product itself.
    axes = np.linalg.eigh(gallery.T @ gallery)[1][:, ::-1]
    fewer = {
        str(count): precision(exact(queries @ axes[:, :count], gallery @ axes[:, :count]))
        for count in _DIMENSIONS
    }
    precisions = {"auto": precision(truth)}
    for name in PRECISIONS[1:]:
        asked = encode(dataset, "val", precision=name)[0][abnormal]
        held = encode(dataset, "train", images, name)[0]
        precisions[name] = precision(exact(asked, held))
    whole = _encode_whole(dataset, "train", images)
    unprojected = precision(exact(_encode_whole(dataset, "val")[abnormal], whole))
    write_result(
        "quantised",
        {
            "command": "python -m benchmarks.quantised ../shared/openi",
            "bundle": Bundle.load(None).hash,
            "queries": len(queries),
            "gallery": len(gallery),
            "exact": precision(truth),
            "through_index": through,
            "fewer_dimensions": fewer,
            "precisions": precisions,
            "unprojected": {"dimensions": whole.shape[1], "precision_at_5": unprojected},
        },
    )


if __name__ == "__main__":
    main()
