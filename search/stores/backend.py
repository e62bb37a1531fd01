"""What every text store offers to a search: one query tree, compiled by each in its own way."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from indexer.database.text.documents import Document
from search.language.tree import MatchAll, Node, conjunction
from search.paging import Cursor, Sort
from search.results import FacetCount

__all__ = [
    "ANNOTATION_WEIGHT",
    "BY_SCORE",
    "SUGGESTIONS",
    "Backend",
    "Cursor",
    "FoundImage",
    "Page",
    "ScoredDocument",
    "Sort",
    "TextQuery",
]

BY_SCORE = Sort("score")
#: A word of an annotation says more of an image than a word of its report.
ANNOTATION_WEIGHT = 3.0
#: Words at most that are suggested in place of one that is in no document.
SUGGESTIONS = 5


@dataclass(frozen=True, slots=True)
class FoundImage:
    """One image of a page; its document is parsed when it is asked for.

    Parameters
    ----------
    value
        What it is sorted by: its score, its id, or its value of a field; None where it has none.
    """

    id: str
    score: float
    study: str
    patient: str
    value: float | int | str | None
    _read: Callable[[], Document]

    @property
    def document(self) -> Document:
        """What the store knows of it."""
        return self._read()


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a word search.

    Parameters
    ----------
    total
        Images that match, on all pages.
    found
        The images of this page, in the order of the sort, then of id.
    facets
        Counts by facet over all matching images; of a facet that has a choice, over those that
        match but for that choice.
    after
        Where the next page begins; None on the last page.
    """

    total: int
    found: Sequence[FoundImage]
    facets: Mapping[str, Sequence[FacetCount]]
    after: Cursor | None = None

    @property
    def hits(self) -> list[tuple[float, Document]]:
        """Documents with their scores."""
        return [(one.score, one.document) for one in self.found]


@dataclass(frozen=True, slots=True)
class TextQuery:
    """What a text store is asked: images that match everything given.

    Parameters
    ----------
    words, filters
        Trees before `search.language.tree.narrow`; only `words` counts in the score.
    facets, facet_size
        Fields whose values are counted, and how many values of each, the commonest first.
    limit, offset
        Hits on this page, and hits to leave out before it (or after `after`).
    after
        The last hit of the page before; any number of hits may lie before it.
    sort
        Order of the hits.
    chosen
        A condition by facet: hits must meet all of them, but a facet's own choice does not shrink
        its list of counts.
    """

    words: Node
    filters: Node = field(default_factory=MatchAll)
    facets: Sequence[str] = ()
    facet_size: int = 20
    limit: int = 20
    offset: int = 0
    after: Cursor | None = None
    sort: Sort = BY_SCORE
    chosen: Mapping[str, Node] = field(default_factory=dict)

    @property
    def conditions(self) -> Node:
        """The filters and all choices."""
        return conjunction(self.filters, *self.chosen.values())

    def conditions_without(self, facet: str) -> Node:
        """The filters and all choices but a facet's own, over which its values are counted."""
        others = (node for name, node in self.chosen.items() if name != facet)
        return conjunction(self.filters, *others)


@dataclass(frozen=True, slots=True)
class ScoredDocument:
    """An image that was asked for by its id.

    Parameters
    ----------
    document
        Its document.
    score
        Of the words; None where they do not match it.
    """

    document: Document
    score: float | None


class Backend(Protocol):
    """The reading side of a text store."""

    def search(self, asked: TextQuery) -> Page:
        """Images that match everything asked for."""

    def look_up(
        self, ids: Sequence[str], words: Node, conditions: Node
    ) -> dict[str, ScoredDocument]:
        """Those of some images that meet the conditions; their scores are those of `search`.

        Parameters
        ----------
        words, conditions
            As the `words` and the `conditions` of a `TextQuery`, but images that the words do not
            match are found as well.
        """

    def keys(self, query: Node) -> npt.NDArray[np.int64]:
        """The FAISS keys of all images that match, ascending."""

    def values(self, field: str) -> list[str]:
        """The values a keyword field has in the store."""

    def suggest(self, word: str) -> list[str]:
        """Words and label values of the store that are spelt nearly so, likeliest first.

        Empty where the store knows the word itself.
        """

    @property
    def version(self) -> Hashable:
        """Changes when what the store holds may have changed."""

    def present(self) -> Backend:
        """The store as it is now, for good; one that a server keeps answers of its own moment."""

    def is_current(self) -> bool:
        """Of what `present` gave: whether the store has not changed since."""

    def close(self) -> None:
        """Let go of files and connections."""
