"""What a request looks for beside a picture: words and a meaning, asked together or alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indexer.database.text.documents import Document
from search.language.tree import MatchAll, Node
from search.stores.backend import Backend, ScoredDocument, TextQuery

__all__ = ["MAX_ANNOTATIONS", "Matches", "Meant"]

#: Annotations that a store tells apart in one request; a query has at most 1,024 parts.
MAX_ANNOTATIONS = 512


@dataclass(frozen=True, slots=True, eq=False)
class Meant:
    """What a search by meaning looks for.

    Parameters
    ----------
    direction
        Images are ranked by the inner products of their vectors with it.
    annotations
        Conditions that images with some annotation meet, the best annotation first.
    count
        How many images are wanted by their vectors, and how many by their annotations.
    """

    direction: npt.NDArray[np.float32]
    annotations: Sequence[Node]
    count: int


class Matches:
    """What words find, and what they say of images that a vector found.

    A store that holds words and vectors answers for both, and for a meaning, in one request and
    gives it to `fill`; where none did, the text store is asked when the answer is wanted. Made
    for one request.

    Parameters
    ----------
    words, conditions
        Trees before `search.language.tree.narrow`; only `words` counts in the score.
    count
        How many of the best are wanted; 0 where no words are asked for.
    text
        The text store.
    meant
        What is asked for by meaning; None where nothing is.

    Attributes
    ----------
    near_meaning, annotated
        Ids of the images that a store found for `meant`, by their vectors in any order, and by
        their annotations, the best first; None where none was asked.
    """

    def __init__(
        self,
        words: Node,
        conditions: Node,
        count: int,
        text: Backend,
        meant: Meant | None = None,
    ) -> None:
        self.words = words
        self.conditions = conditions
        self.count = count
        self.meant = meant
        self.near_meaning: Sequence[str] | None = None
        self.annotated: Sequence[str] | None = None
        self._text = text
        self._best: Sequence[tuple[float, Document]] | None = None
        #: By id; None for an image that does not meet the conditions.
        self._looked: dict[str, ScoredDocument | None] = {}

    @property
    def is_asked(self) -> bool:
        """Whether the best matches are known."""
        return self._best is not None

    @property
    def best(self) -> Sequence[tuple[float, Document]]:
        """The best matches, best first."""
        if self._best is None:
            hits = self._text.search(TextQuery(self.words, self.conditions, limit=self.count)).hits
            self.fill(hits, {})
            return hits
        return self._best

    def fill(
        self,
        best: Sequence[tuple[float, Document]],
        looked: Mapping[str, ScoredDocument | None],
        *,
        near_meaning: Sequence[str] | None = None,
        annotated: Sequence[str] | None = None,
    ) -> None:
        """Take over what a store found beside a search by vector.

        Parameters
        ----------
        best
            As of `best`.
        looked
            Of some images as of `look`; None for one that does not meet the conditions.
        near_meaning, annotated
            As the attributes.
        """
        self._best = best
        self.near_meaning, self.annotated = near_meaning, annotated
        self._looked |= looked
        self._looked |= {
            document["id"]: ScoredDocument(document, score) for score, document in best
        }

    def look(self, image_ids: Iterable[str]) -> dict[str, ScoredDocument]:
        """Those of some images that meet the conditions, whether the words match them or not."""
        wanted = dict.fromkeys(image_ids)
        new = [image for image in wanted if image not in self._looked]
        if new:
            # If all matches are known, no other image is one.
            done = self._best is not None and len(self._best) < self.count
            words = MatchAll() if done else self.words
            for image in new:
                self._looked[image] = None
            for image, one in self._text.look_up(new, words, self.conditions).items():
                self._looked[image] = ScoredDocument(one.document, None) if done else one
        pairs = ((image, self._looked[image]) for image in wanted)
        return {image: looked for image, looked in pairs if looked is not None}
