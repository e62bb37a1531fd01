"""The embedded backend: the query tree compiled to tantivy, node by node."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from indexer.annotation import Origin
from indexer.archive.reports import SECTIONS
from indexer.database.documents import Document
from indexer.database.text_embedded import EmbeddedTextStore, analyzer, field_of, schema
from indexer.errors import QueryError
from search.backends import Page
from search.results import FacetCount
from search.tree import (
    And,
    MatchAll,
    Node,
    Not,
    Or,
    Phrase,
    Prefix,
    Present,
    Range,
    Value,
    Word,
    narrow,
    origin_of,
)
from search.vocabulary import FIELDS

if TYPE_CHECKING:
    import tantivy

__all__ = ["EmbeddedBackend"]

# A word of an annotation says more of an image than a word of its report.
_ANNOTATION_WEIGHT = 3.0
# Up to so many hits, ties in score are put in order of id.
_SORTED_HITS = 10_000
_MAX_EXPANSIONS = 50_000
_ALL_VALUES = 65_000
_HEX = frozenset("0123456789abcdef")


class EmbeddedBackend:
    """Searches in an `EmbeddedTextStore`.

    Pages of one state of the index fit together. Hits are ordered by score, then by id; where more
    than 10,000 images match, those of equal score stand in the order of the index instead.
    """

    def __init__(self, store: EmbeddedTextStore) -> None:
        self._store = store

    def search(
        self,
        query: Node,
        filters: Node,
        *,
        facets: Sequence[str] = (),
        facet_size: int = 20,
        limit: int = 20,
        offset: int = 0,
    ) -> Page:
        """Images that match both trees; see `Backend.search`."""
        searcher = self._searcher()
        compiled = _compile(searcher, query, filters)
        end = max(min(offset + limit, searcher.num_docs), 1)
        hits: list[tuple[float, tantivy.DocAddress]]
        if _uniform(query):
            result = self._search(searcher, compiled, end, order_by_field="key", ascending=True)
            hits = [(1.0, address) for _, address in result.hits]
        else:
            result = self._search(searcher, compiled, end)
            if end < result.count <= _SORTED_HITS:
                result = self._search(searcher, compiled, result.count)
            hits = result.hits
            if result.count <= _SORTED_HITS:
                keys = searcher.fast_field_values("key", [address for _, address in hits])
                order = sorted(range(len(hits)), key=lambda i: (-hits[i][0], keys[i]))
                hits = [hits[i] for i in order]
        found = [(score, _document(searcher, a)) for score, a in hits[offset : offset + limit]]
        return Page(result.count, found, self._facets(searcher, compiled, facets, facet_size))

    def keys(self, query: Node) -> npt.NDArray[np.int64]:
        """The FAISS keys of all images that match, ascending."""
        searcher = self._searcher()
        compiled = _compile(searcher, query, MatchAll())
        result = self._search(searcher, compiled, max(searcher.num_docs, 1), order_by_field="key")
        found = np.array([key for key, _ in result.hits], dtype=np.uint64).view(np.int64)
        found.sort()
        return found

    def values(self, field: str) -> list[str]:
        """The values a keyword field has, those of deleted documents left out in time."""
        return [value for value, _ in self._searcher().terms_with_prefix(field, "")]

    def close(self) -> None:
        """Let go of the index's files."""
        self._store.close()

    def _searcher(self) -> tantivy.Searcher:
        self._store.refresh()
        return self._store.index.searcher()

    @staticmethod
    def _search(
        searcher: tantivy.Searcher,
        query: tantivy.Query,
        limit: int,
        *,
        order_by_field: str | None = None,
        ascending: bool = False,
    ) -> Any:
        import tantivy

        order = tantivy.Order.Asc if ascending else tantivy.Order.Desc
        return searcher.search(query, limit, order_by_field=order_by_field, order=order)

    @staticmethod
    def _facets(
        searcher: tantivy.Searcher, query: tantivy.Query, names: Sequence[str], size: int
    ) -> Mapping[str, Sequence[FacetCount]]:
        if not names:
            return {}
        request = {name: {"terms": {"field": name, "size": _ALL_VALUES}} for name in names}
        answer = searcher.aggregate(query, request)
        return {
            name: _counts(answer[name]["buckets"], size, FIELDS[name] == "number") for name in names
        }


def _counts(buckets: list[dict[str, Any]], size: int, numeric: bool) -> list[FacetCount]:
    found = [
        FacetCount(int(bucket["key"]) if numeric else bucket["key"], int(bucket["doc_count"]))
        for bucket in buckets
    ]
    return sorted(found, key=lambda count: (-count.count, count.value))[:size]


def _document(searcher: tantivy.Searcher, address: tantivy.DocAddress) -> Document:
    document: Document = json.loads(searcher.doc(address)["document"][0])
    return document


def _uniform(query: Node) -> bool:
    """Whether all images that match get one and the same score."""
    if isinstance(query, And):
        return all(_uniform(node) for node in query.nodes)
    return isinstance(query, MatchAll | Not | Value | Present | Range)


def _compile(searcher: tantivy.Searcher, query: Node, filters: Node) -> tantivy.Query:
    """Both trees as one query, in which the filters weigh nothing."""
    import tantivy

    compiler = _Compiler(searcher)
    narrowed = compiler.compile(narrow(query, origin_of(filters)))
    if isinstance(filters, MatchAll):
        return narrowed
    condition = compiler.compile(narrow(filters, origin_of(query)))
    weightless = tantivy.Query.const_score_query(condition, 0.0)
    both = [(tantivy.Occur.Must, narrowed), (tantivy.Occur.Must, weightless)]
    return tantivy.Query.boolean_query(both)


class _Compiler:
    """One method per kind of node; no text ever passes through a second parser."""

    def __init__(self, searcher: tantivy.Searcher) -> None:
        import tantivy

        self._tantivy = tantivy
        self._query = tantivy.Query
        self._schema = schema()
        self._searcher = searcher

    def compile(self, node: Node) -> tantivy.Query:
        match node:
            case MatchAll():
                return self._constant(self._query.all_query())
            case And(nodes):
                return self._all(nodes)
            case Or(nodes):
                return self._any([self.compile(child) for child in nodes])
            case Not():
                return self._all((node,))
            case Word(text, field, origin) | Phrase(text, field, origin):
                stems = analyzer().analyze(text)
                return self._weighted(field, origin, lambda name: self._stems(name, stems))
            case Prefix(text, field, origin):
                return self._prefix(text, field, origin)
            case Value(field, value, origin):
                return self._value(field_of(field, origin), value)
            case Present(field, origin):
                return self._present(field, origin)
            case Range(field, low, high):
                kind = self._tantivy.FieldType.Integer
                return self._query.range_query(self._schema, field, kind, low, high)

    def _all(self, nodes: Sequence[Node]) -> tantivy.Query:
        must, must_not = self._tantivy.Occur.Must, self._tantivy.Occur.MustNot
        clauses = [
            (must_not, self.compile(node.node))
            if isinstance(node, Not)
            else (must, self.compile(node))
            for node in nodes
        ]
        # tantivy finds nothing by exclusion alone.
        if all(occur == must_not for occur, _ in clauses):
            clauses.append((must, self._constant(self._query.all_query())))
        return self._query.boolean_query(clauses)

    def _any(self, queries: Sequence[tantivy.Query]) -> tantivy.Query:
        if len(queries) == 1:
            return queries[0]
        return self._query.boolean_query([(self._tantivy.Occur.Should, q) for q in queries])

    def _constant(self, query: tantivy.Query) -> tantivy.Query:
        return self._query.const_score_query(query, 1.0)

    def _value(self, field: str, value: str) -> tantivy.Query:
        return self._constant(self._query.term_query(self._schema, field, value, "basic"))

    def _weighted(
        self,
        field: str | None,
        origin: Origin | None,
        query: Callable[[str], tantivy.Query],
        *,
        plain: bool = False,
    ) -> tantivy.Query:
        """`query` over the text fields that `field` stands for."""
        annotation = field_of("annotation", origin, plain=plain)
        if field == "annotation" or (field is None and origin):
            return query(annotation)
        if field is not None:
            return query(field_of(field, plain=plain))
        boosted = self._query.boost_query(query(annotation), _ANNOTATION_WEIGHT)
        return self._any([boosted, query(field_of("report", plain=plain))])

    def _stems(self, field: str, stems: Sequence[str]) -> tantivy.Query:
        if not stems:
            return self._query.empty_query()
        if len(stems) == 1:
            return self._query.term_query(self._schema, field, stems[0])
        return self._query.phrase_query(self._schema, field, list(stems))

    def _prefix(self, text: str, field: str | None, origin: Origin | None) -> tantivy.Query:
        if field == "id" and _HEX.issuperset(text) and len(text) <= 16:
            return self._constant(self._ids(text))
        if field is not None and FIELDS[field] != "text":
            return self._beginning(field_of(field, origin), text)
        tokens = analyzer(plain=True).analyze(text)
        if len(tokens) != 1:
            return self._query.empty_query()
        return self._weighted(
            field, origin, lambda name: self._beginning(name, tokens[0]), plain=True
        )

    def _beginning(self, field: str, prefix: str) -> tantivy.Query:
        terms = self._searcher.terms_with_prefix(field, prefix, limit=_MAX_EXPANSIONS + 1)
        if len(terms) > _MAX_EXPANSIONS:
            raise QueryError(
                f'more than {_MAX_EXPANSIONS} words begin with "{prefix}"; write more of it'
            )
        words = [term for term, _ in terms]
        return self._constant(self._query.term_set_query(self._schema, field, words))

    def _present(self, field: str, origin: Origin | None) -> tantivy.Query:
        if field in SECTIONS:
            return self._value("section", field)
        if FIELDS[field] == "open":
            return self.compile(MatchAll())
        stands_in = {"report": "section", "annotation": "disease"}.get(field, field)
        return self._constant(self._query.exists_query(field_of(stands_in, origin)))

    def _ids(self, prefix: str) -> tantivy.Query:
        """Images whose id begins with these hex digits."""
        low, high = (int(prefix.ljust(16, digit), 16) for digit in "0f")
        kind = self._tantivy.FieldType.Unsigned
        return self._query.range_query(self._schema, "key", kind, low, high)
