"""What every vector store offers to a search: the images nearest to a vector, within bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from indexer.database.vectors.shards import ascending_keys
from search.language.tree import Node
from search.stores.backend import Backend
from search.stores.matches import Matches

__all__ = ["EVERYTHING", "Bounds", "Choice", "Keys", "Neighbours", "VectorStore"]

Keys: TypeAlias = npt.NDArray[np.int64]
#: Scores and keys, shape (n,) each.
Neighbours: TypeAlias = tuple[npt.NDArray[np.float32], Keys]


def _none() -> Keys:
    return np.empty(0, np.int64)


class Choice:
    """The images that meet a condition on their documents.

    Parameters
    ----------
    condition
        The condition, before `search.language.tree.narrow`.
    text
        The text store that tells which images meet it.
    """

    def __init__(self, condition: Node, text: Backend) -> None:
        self.condition = condition
        self.text = text

    @cached_property
    def keys(self) -> Keys:
        """Their keys, ascending; the text store is asked once."""
        return self.text.keys(self.condition)


@dataclass(frozen=True, eq=False)
class Bounds:
    """Which images a search may find.

    Parameters
    ----------
    choice
        The only ones; None for all.
    excluded
        Keys of a few that may not be found: a study, a patient.
    unusual
        Keys of all images that are hardly chest films, where these may not be found.
    matches
        The word search of the same request, which a store that has words may answer as well; its
        conditions are the choice.
    """

    choice: Choice | None = None
    excluded: Keys = field(default_factory=_none)
    unusual: Keys = field(default_factory=_none)
    matches: Matches | None = None

    @property
    def are_open(self) -> bool:
        """Whether every image may be found, and no words are asked for along with it."""
        words = self.matches is not None and self.matches.count
        return self.choice is None and not words and not len(self.barred)

    @cached_property
    def barred(self) -> Keys:
        """Keys of all that may not be found, each once."""
        return ascending_keys(np.concatenate([self.excluded, self.unusual]))


EVERYTHING = Bounds()


class VectorStore(Protocol):
    """The reading side of a vector store, of one moment of a database; threads may share it.

    Images have the scores that the shards' own vectors give them, whichever store finds them:
    inner products with the query at unit length.
    """

    def __len__(self) -> int:
        """How many images there are."""

    @property
    def keys(self) -> Keys:
        """Keys of all images, in any order."""

    def stored_vectors(self, keys: Keys) -> npt.NDArray[np.float32]:
        """Vectors of images by key, shape (n, dimensions).

        Raises
        ------
        NotFoundError
            One of `keys` belongs to no image.
        """

    def search(
        self, query: npt.NDArray[np.floating], k: int, bounds: Bounds = EVERYTHING
    ) -> Neighbours:
        """The `k` most similar images, best first; fewer where there are not as many.

        Parameters
        ----------
        query
            Shape (dimensions,); its length changes neither order nor scores.
        k
            At least 1.

        Returns
        -------
        scores, keys
            Images of equal score by ascending key.
        """

    def rank(self, query: npt.NDArray[np.floating], k: int, keys: Keys) -> Neighbours:
        """As `search`, of some images, each of which is compared."""

    def allowed(self, keys: Keys, bounds: Bounds) -> npt.NDArray[np.bool_]:
        """Which of a few images are of the choice, if there is one, shape (n,)."""

    def count(self, bounds: Bounds) -> int:
        """How many images may be found."""
