"""The embedded backend: searches in a tantivy index."""

from __future__ import annotations

import copy
import itertools
import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import orjson

from indexer.database.text.documents import Document
from indexer.database.text.schema import analyzer
from indexer.database.text.tantivy.facet_columns import BitColumn, counted
from indexer.database.text.tantivy.schema import schema
from indexer.database.text.tantivy.store import EmbeddedTextStore
from search.language.fields import FIELDS
from search.language.findings import Findings, fold
from search.language.spelling import most_edits
from search.language.tree import Among, And, MatchAll, Node, Not, conjunction, disjunction, leaves
from search.language.wildcards import distance
from search.paging import Sort
from search.results import FacetCount
from search.stores.backend import SUGGESTIONS, FoundImage, Page, ScoredDocument, TextQuery
from search.stores.tantivy.pages import HitPlace, Pager
from search.stores.tantivy.query import compile_both, filtered, is_uniform
from search.stores.tantivy.state import IndexState

if TYPE_CHECKING:
    import tantivy

__all__ = ["EmbeddedBackend"]

_ALL_VALUES = 65_000
# Only this many of the commonest whole annotations are sorted, as there are too many to fetch all.
_MANY_VALUES = 2000
# A query looks up at most this many ids.
_LOOKED_UP = 1_000


class EmbeddedBackend:
    """Searches in an `EmbeddedTextStore`; pages of one state of the index fit together."""

    def __init__(self, store: EmbeddedTextStore) -> None:
        self._store = store
        self._findings = Findings()
        self._lock = threading.Lock()
        self._newest: IndexState | None = None
        #: The one state of the index that is asked; None for the newest, whichever that is.
        self._only: IndexState | None = None
        self._beside = ThreadPoolExecutor(2, "facets")

    def search(self, asked: TextQuery) -> Page:
        """Images that match everything asked for."""
        state = self._state()
        words, sort, conditions = asked.words, asked.sort, asked.conditions

        def make() -> Pager:
            compiled = compile_both(state, words, conditions)
            return Pager(state.searcher, compiled, is_uniform(words))

        # A request with facets is kept, as the same page or the next one is likely to be asked for.
        keeps = asked.facets and _may_be_kept(words, conditions)
        pager = state.kept.get((Pager, words, conditions), make) if keeps else make()
        questions = [
            (words, others, tuple(some), asked.facet_size) for some, others in _counted(asked)
        ]
        # tantivy leaves the interpreter free, so that both go on at once.
        counting = {
            question: self._beside.submit(self._facets, state, *question)
            for question in questions
            if question not in state.kept
        }
        places: Sequence[HitPlace] = []
        cursor = None
        if asked.limit:
            places, cursor = pager.page(sort, asked.limit, asked.offset, asked.after)
        if sort.by == "score" or not is_uniform(words):
            scores = self._scores(state.searcher, pager.query, sort, places)
        else:
            scores = [1.0] * len(places)
        counts: dict[str, Sequence[FacetCount]] = {}
        for question in questions:
            begun = counting.get(question)
            counts |= begun.result() if begun else self._facets(state, *question)
        return Page(
            pager.total,
            [
                _found(state.searcher, place, score, sort)
                for place, score in zip(places, scores, strict=True)
            ],
            {name: counts[name] for name in asked.facets},
            cursor,
        )

    def look_up(
        self, ids: Sequence[str], words: Node, conditions: Node
    ) -> dict[str, ScoredDocument]:
        """Those of some images that meet the conditions, with their scores where words match."""
        found: dict[str, ScoredDocument] = {}
        for start in range(0, len(ids), _LOOKED_UP):
            part = ids[start : start + _LOOKED_UP]
            these = conjunction(conditions, Among(tuple(part)))
            # A search by words alone tells the score, as what it does not match has one, too.
            matching = self.search(TextQuery(words, these, limit=len(part))).found
            scores = {one.id: one.score for one in matching}
            every = matching
            if not isinstance(words, MatchAll):
                every = self.search(TextQuery(MatchAll(), these, limit=len(part))).found
            found |= {one.id: ScoredDocument(one.document, scores.get(one.id)) for one in every}
        return found

    def keys(self, query: Node) -> npt.NDArray[np.int64]:
        """The FAISS keys of all images that match, ascending."""
        state = self._state()
        compiled = compile_both(state, query, MatchAll())
        result: Any = state.searcher.search(
            compiled, max(state.searcher.num_docs, 1), order_by_field="key"
        )
        found = np.array([key for key, _ in result.hits], dtype=np.uint64).view(np.int64)
        found.sort()
        return found

    def values(self, field: str) -> list[str]:
        """The values a keyword field has, those of deleted documents left out in time."""
        return [value for value, _ in self._state().searcher.terms_with_prefix(field, "")]

    def suggest(self, word: str) -> list[str]:
        """Words of annotations and reports that are spelt nearly so, likeliest first.

        Empty where the index knows the word itself, or a form of it.
        """
        stems, token = analyzer().analyze(word), fold(word)
        state = self._state()
        if len(stems) != 1 or any(
            state.searcher.doc_freq(name, stems[0]) for name in ("annotation", "report")
        ):
            return []
        return state.kept.get(("suggest", token), lambda: _near(state, token))

    @property
    def version(self) -> tuple[int, int] | None:
        """Of the commit that is asked."""
        return self._state().stamp

    def present(self) -> EmbeddedBackend:
        """The index as it is now, for good."""
        view = copy.copy(self)
        view._only = self._refreshed()
        return view

    def is_current(self) -> bool:
        """Whether the index has not changed since `present`."""
        return self._only is None or self._only.stamp == self._store.stamp()

    def close(self) -> None:
        """Let go of the index's files."""
        self._beside.shutdown()
        self._store.close()

    def _state(self) -> IndexState:
        return self._only or self._refreshed()

    def _refreshed(self) -> IndexState:
        with self._lock:
            self._store.refresh()
            stamp = self._store.seen
            if self._newest is None or self._newest.stamp != stamp:
                self._newest = IndexState(
                    self._store.index.searcher(), self._findings, self._store.columns, stamp
                )
            return self._newest

    @staticmethod
    def _scores(
        searcher: tantivy.Searcher, query: tantivy.Query, sort: Sort, places: Sequence[HitPlace]
    ) -> list[float]:
        if sort.by == "score":
            return [float(place.value or 0.0) for place in places]
        import tantivy

        ids = [place.id for place in places]
        these = filtered(query, tantivy.Query.term_set_query(schema(), "id", ids))
        hits: Any = searcher.search(these, max(len(ids), 1), count=False).hits
        keys = searcher.fast_field_values("key", [address for _, address in hits])
        scores = dict(zip(keys, (score for score, _ in hits), strict=True))
        return [scores[place.key] for place in places]

    @staticmethod
    def _facets(
        state: IndexState, query: Node, conditions: Node, names: tuple[str, ...], size: int
    ) -> dict[str, Sequence[FacetCount]]:
        def count() -> dict[str, Sequence[FacetCount]]:
            left_out = _left_out(conjunction(query, conditions))
            if left_out is not None and not any(FIELDS[name] == "open" for name in names):
                # If nearly all images match, count those that do not and subtract them from the
                # counts of all.
                every = EmbeddedBackend._facets(state, MatchAll(), MatchAll(), names, _ALL_VALUES)
                less = EmbeddedBackend._facets(state, left_out, MatchAll(), names, _ALL_VALUES)
                return {name: _without(every[name], less[name], size) for name in names}
            columns = {name: state.columns.of(name) for name in names if FIELDS[name] == "closed"}
            request = {
                column: {"terms": _terms_aggregation(column, size)}
                for name in names
                for column, _ in columns.get(name) or [(name, ())]
            }
            matching = compile_both(state, query, conditions, scored=False)
            answer = state.searcher.aggregate(matching, request)
            buckets = {column: found["buckets"] for column, found in answer.items()}
            return {
                name: _by_column(buckets, columns[name] or [], size)
                if columns.get(name)
                else _counts(buckets[name], size, FIELDS[name] == "number")
                for name in names
            }

        # The pages of one search show the same counts.
        if not _may_be_kept(query, conditions):
            return count()
        return state.kept.get((query, conditions, names, size), count)


def _may_be_kept(*trees: Node) -> bool:
    """Whether what they find may be kept: not where they name images, of which there may be so many
    that what is asked takes more memory than the answer."""
    return not any(isinstance(leaf, Among) for tree in trees for leaf in leaves(tree))


def _left_out(tree: Node) -> Node | None:
    """What a tree that only excludes leaves out."""
    nodes = tree.nodes if isinstance(tree, And) else (tree,)
    inner = [node.node for node in nodes if isinstance(node, Not)]
    return disjunction(*inner) if len(inner) == len(nodes) else None


def _without(
    every: Sequence[FacetCount], less: Sequence[FacetCount], size: int
) -> list[FacetCount]:
    off = {count.value: count.count for count in less}
    left = (FacetCount(c.value, c.count - off.get(c.value, 0)) for c in every)
    return _commonest((count for count in left if count.count), size)


def _counted(asked: TextQuery) -> list[tuple[Sequence[str], Node]]:
    """Facets with what the images they count must meet beside the words."""
    free = [name for name in asked.facets if name not in asked.chosen]
    own = [name for name in asked.facets if name in asked.chosen]
    groups: list[tuple[Sequence[str], Node]] = [(free, asked.conditions)] if free else []
    return groups + [([name], asked.conditions_without(name)) for name in own]


def _terms_aggregation(facet: str, size: int) -> dict[str, Any]:
    most = max(_MANY_VALUES, size) if FIELDS.get(facet) == "open" else _ALL_VALUES
    return {"field": facet, "size": min(most, _ALL_VALUES), "segment_size": _ALL_VALUES}


def _by_column(
    buckets: Mapping[str, list[dict[str, Any]]], columns: Sequence[BitColumn], size: int
) -> list[FacetCount]:
    found: dict[str, int] = {}
    for column in columns:
        numbers = ((int(b["key"]), int(b["doc_count"])) for b in buckets[column[0]])
        found |= counted(column, numbers)
    return _commonest(itertools.starmap(FacetCount, found.items()), size)


def _counts(buckets: list[dict[str, Any]], size: int, numeric: bool) -> list[FacetCount]:
    found = (
        FacetCount(int(bucket["key"]) if numeric else bucket["key"], int(bucket["doc_count"]))
        for bucket in buckets
    )
    return _commonest(found, size)


def _commonest(counts: Iterable[FacetCount], size: int) -> list[FacetCount]:
    return sorted(counts, key=lambda count: (-count.count, count.value))[:size]


def _found(searcher: tantivy.Searcher, place: HitPlace, score: float, sort: Sort) -> FoundImage:
    data: bytes = searcher.doc(place.address)["document"][0]
    value = place.id if sort.by == "id" else place.value
    # Most images of a page of studies are asked for no more than these.
    study, patient = _pseudonym(data, b',"study":"'), _pseudonym(data, b',"patient":"')
    return FoundImage(place.id, score, study, patient, value, lambda: _document(data))


def _pseudonym(data: bytes, member: bytes) -> str:
    """A member of a document that stands there once: quotes inside of its texts are escaped."""
    start = data.index(member) + len(member)
    return data[start : data.index(b'"', start)].decode()


def _document(data: bytes) -> Document:
    document: Document
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        # Half a surrogate pair, as a broken report may hold one, is no UTF-8.
        document = json.loads(data.decode("utf-8", "surrogatepass"))
    return document


def _near(state: IndexState, word: str) -> list[str]:
    """Words a letter or two off, by how far they are, then by how many images have them."""
    found: dict[str, tuple[int, int]] = {}
    most = most_edits(word)
    for field in ("annotation_plain", "report_plain"):
        # A slip of the first letter is rare; words that share it are few.
        for term, count in state.searcher.terms_with_prefix(field, word[:1]):
            if not term.isalpha():
                continue
            off = distance(word, term, most)
            if off is not None:
                near, images = found.get(term, (-off, 0))
                found[term] = (near, images + count)
    return sorted(found, key=lambda term: (*found[term], term), reverse=True)[:SUGGESTIONS]
