"""The word search of a request that also looks for a picture, asked together with it or alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from indexer.database.text.documents import Document
from search.language.tree import MatchAll, Node
from search.stores.backend import Backend, Looked, TextQuery

__all__ = ["Matches"]


class Matches:
    """What words find, and what they say of images that a vector found.

    A store that holds words and vectors answers both in one request and gives it to `brought`;
    where none did, the text store is asked when the answer is wanted. Made for one request.

    Parameters
    ----------
    words, conditions
        Trees before `search.language.tree.narrow`; only `words` counts in the score.
    count
        How many of the best are wanted.
    text
        The text store.
    """

    def __init__(self, words: Node, conditions: Node, count: int, text: Backend) -> None:
        self.words = words
        self.conditions = conditions
        self.count = count
        self._text = text
        self._best: Sequence[tuple[float, Document]] | None = None
        #: By id; None for an image that does not meet the conditions.
        self._looked: dict[str, Looked | None] = {}

    @property
    def is_asked(self) -> bool:
        """Whether the best matches are known."""
        return self._best is not None

    @property
    def best(self) -> Sequence[tuple[float, Document]]:
        """The best matches, best first."""
        if self._best is None:
            hits = self._text.search(TextQuery(self.words, self.conditions, limit=self.count)).hits
            self.brought(hits, {})
            return hits
        return self._best

    def brought(
        self, best: Sequence[tuple[float, Document]], looked: Mapping[str, Looked | None]
    ) -> None:
        """Take over what a store found beside a search by vector.

        Parameters
        ----------
        best
            As of `best`.
        looked
            Of some images as of `look`; None for one that does not meet the conditions.
        """
        self._best = best
        self._looked |= looked
        self._looked |= {document["id"]: Looked(document, score) for score, document in best}

    def look(self, image_ids: Iterable[str]) -> dict[str, Looked]:
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
                self._looked[image] = Looked(one.document, None) if done else one
        pairs = ((image, self._looked[image]) for image in wanted)
        return {image: looked for image, looked in pairs if looked is not None}
