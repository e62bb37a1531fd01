"""Vectors like those of real radiographs: a mixture whose numbers were measured, and no picture.

    python -m benchmarks.vector_clusters ../shared/openi

encodes train images of Open-i with the shipped bundle and writes `vector_clusters.json`: in the
axes of their principal components, the mean, the variances, and a mixture of Gaussians over the
first axes. What is drawn from it is compared with the real vectors: lengths, inner products with
the nearest neighbours, and intrinsic dimension.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from benchmarks.quantised import encode
from indexer.cascade.bundle import Bundle

__all__ = ["FILE", "ClusteredVectors", "describe"]

Rows = npt.NDArray[np.float32]

FILE = Path(__file__).with_suffix(".json")
_AXES, _CLUSTERS = 16, 24


class ClusteredVectors:
    """Draws vectors of the measured mixture, in axes turned at random.

    Parameters
    ----------
    seed
        Of what is drawn; the axes are always the same.
    """

    def __init__(self, seed: int) -> None:
        data = json.loads(FILE.read_text())
        self._weights, self._means, self._spreads, self._mean, self._tail = (
            np.array(data[name], np.float32)
            for name in ("weights", "means", "spreads", "mean", "tail")
        )
        self.dimensions = len(self._mean)
        turned = np.random.default_rng(0).normal(size=(self.dimensions, self.dimensions))
        self._axes = np.linalg.qr(turned)[0].astype(np.float32)
        self._rng = np.random.default_rng(seed)

    def rows(self, count: int) -> Rows:
        """The next vectors, shape (count, dimensions)."""
        weights = self._weights.astype(float)
        clusters = self._rng.choice(len(weights), count, p=weights / weights.sum())
        shape = (count, self.dimensions)
        rows = self._rng.standard_normal(shape, dtype=np.float32)
        axes = self._means.shape[1]
        rows[:, :axes] *= self._spreads[clusters]
        rows[:, :axes] += self._means[clusters]
        rows[:, axes:] *= self._tail
        turned = (rows + self._mean) @ self._axes
        return turned.astype(np.float32, copy=False)


def describe(rows: Rows) -> dict[str, Any]:
    """Lengths, products with the 1st, 10th and 100th neighbour, and intrinsic dimension."""
    products = rows @ rows.T
    lengths = np.diag(products).copy()
    squares = lengths[:, None] + lengths[None] - 2 * products
    np.fill_diagonal(products, -np.inf)
    near = -np.sort(-products, axis=1)
    distances = np.sqrt(np.maximum(np.sort(squares, axis=1)[:, 1:21], 1e-12))
    ratios = np.log(distances[:, -1:] / distances[:, :-1])
    variances = np.linalg.eigvalsh(np.cov(rows.T))

    def quantiles(values: npt.NDArray[np.floating]) -> list[float]:
        return [round(float(v), 3) for v in np.quantile(values, [0.1, 0.5, 0.9])]

    return {
        "vectors": len(rows),
        "length": quantiles(np.sqrt(lengths)),
        "inner_product_with_neighbour": {
            str(place): quantiles(near[:, place - 1]) for place in (1, 10, 100)
        },
        "participation_ratio": round(float(variances.sum() ** 2 / (variances**2).sum()), 2),
        "intrinsic_dimension": round(float(np.median(1 / ratios.mean(1))), 2),
    }


def fit(rows: Rows) -> dict[str, Any]:
    """The numbers of the mixture that imitates some vectors."""
    from sklearn.mixture import GaussianMixture

    mean = rows.mean(0, dtype=np.float64)
    variances, axes = np.linalg.eigh(np.cov(rows.T.astype(np.float64)))
    variances, axes = variances[::-1], axes[:, ::-1]
    turned = (rows - mean) @ axes
    mixture = GaussianMixture(
        _CLUSTERS, covariance_type="diag", random_state=0, reg_covar=1e-5, n_init=2
    ).fit(turned[:, :_AXES])

    def short(values: npt.NDArray[np.floating]) -> Any:
        return np.vectorize(lambda v: float(f"{v:.4g}"))(values).tolist()

    return {
        "weights": short(mixture.weights_),
        "means": short(mixture.means_),
        "spreads": short(np.sqrt(mixture.covariances_)),
        "mean": short(mean @ axes),
        "tail": short(np.sqrt(np.maximum(variances[_AXES:], 0))),
    }


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path, exists=True))
@click.option("--images", default=2500, show_default=True)
def main(dataset: Path, images: int) -> None:
    """Measure real vectors and keep what imitates them."""
    rows, _ = encode(dataset, "train", images)
    data = {"source": f"{len(rows)} images of Open-i train, {Bundle.load(None).hash}", **fit(rows)}
    FILE.write_text(json.dumps({**data, "real": describe(rows)}) + "\n")
    data["imitated"] = describe(ClusteredVectors(1).rows(len(rows)))
    FILE.write_text(json.dumps({**data, "real": describe(rows)}) + "\n")


if __name__ == "__main__":
    main()
