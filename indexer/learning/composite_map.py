"""Joint vectors in two dimensions, to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["CompositeMap", "map_composite_vectors"]


@dataclass(frozen=True, slots=True)
class CompositeMap:
    """Joint vectors in two dimensions (t-SNE).

    Parameters
    ----------
    places
        Shape (n, 2).
    labels
        Name of each one's label.
    """

    places: npt.NDArray[np.float32]
    labels: tuple[str, ...]


def map_composite_vectors(
    vectors: npt.NDArray[np.float32], labels: Sequence[str], seed: int
) -> CompositeMap:
    """Lay out joint vectors of shape (n, d) by t-SNE, each with the name of its label."""
    from sklearn.manifold import TSNE

    near = min(30.0, (len(vectors) - 1) / 3)
    places = TSNE(perplexity=near, init="random", random_state=seed).fit_transform(vectors)
    return CompositeMap(places.astype(np.float32), tuple(labels))
