"""The query tree compiled to tantivy, node by node; no text ever passes through a second parser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from indexer.annotation import Origin
from indexer.archive.report_files.sections import SECTIONS
from indexer.database.text.schema import LABELS, field_name, stemmed
from indexer.database.text.tantivy.schema import schema
from search.language.fields import FIELDS
from search.language.findings import fold
from search.language.tree import (
    Among,
    And,
    Boost,
    Finding,
    Fuzzy,
    MatchAll,
    Node,
    Not,
    Or,
    Phrase,
    Prefix,
    Present,
    Range,
    Term,
    Value,
    Wildcard,
    disjunction,
    narrow,
    required_certainty,
    required_origin,
)
from search.language.wildcards import folded
from search.stores.backend import ANNOTATION_WEIGHT
from search.stores.tantivy.state import IndexState

if TYPE_CHECKING:
    import tantivy

__all__ = ["compile_both", "filtered", "is_uniform", "keys_between", "numbers_between"]

_HEX = frozenset("0123456789abcdef")


def is_uniform(query: Node) -> bool:
    """Whether all images that match get one and the same score."""
    if isinstance(query, And):
        return all(map(is_uniform, query.nodes))
    if isinstance(query, Boost):
        return is_uniform(query.node)
    return isinstance(query, MatchAll | Not | Value | Among | Present | Range | Finding)


def compile_both(
    state: IndexState, query: Node, conditions: Node, *, scored: bool = True
) -> tantivy.Query:
    """Both trees as one query, in which the conditions weigh nothing.

    Parameters
    ----------
    scored
        Whether scores matter, beside which images match.
    """
    compiler = _Compiler(state)
    tree = narrow(query, required_origin(conditions), required_certainty(conditions))
    narrowed = compiler.compile(tree if scored else _unscored(tree))
    if isinstance(conditions, MatchAll):
        return narrowed
    return filtered(
        narrowed,
        compiler.compile(narrow(conditions, required_origin(query), required_certainty(query))),
    )


def filtered(query: tantivy.Query, condition: tantivy.Query) -> tantivy.Query:
    """`query` where the condition holds too, with the scores of `query`."""
    import tantivy

    must = tantivy.Occur.Must
    free = tantivy.Query.const_score_query(condition, 0.0)
    return tantivy.Query.boolean_query([(must, query), (must, free)])


def keys_between(low: int, high: int, *, few: bool = False) -> tantivy.Query:
    """Images whose id, as a number, lies between two, both included.

    `few` of them are looked up one by one, rather than in a sweep through all ids.
    """
    import tantivy

    kind = tantivy.FieldType.Unsigned
    return tantivy.Query.range_query(schema(), "key", kind, low, high, use_inverted_index=few)


def numbers_between(field: str, low: int | None, high: int | None) -> tantivy.Query:
    """Images whose age or year lies between two, both included; there are few distinct ones."""
    import tantivy

    kind = tantivy.FieldType.Integer
    return tantivy.Query.range_query(schema(), field, kind, low, high, use_inverted_index=True)


def _unscored(tree: Node) -> Node:
    """The same images, without alternatives that are part of another one and only add to scores."""
    if not isinstance(tree, Or):
        return tree
    parts = [{*node.nodes} if isinstance(node, And) else {node} for node in tree.nodes]
    kept = [
        node
        for node, own in zip(tree.nodes, parts, strict=True)
        if not any(other < own for other in parts)
    ]
    return disjunction(*kept)


class _Compiler:
    """One method per kind of node."""

    def __init__(self, state: IndexState) -> None:
        import tantivy

        self._tantivy = tantivy
        self._query = tantivy.Query
        self._schema = schema()
        self._state = state

    def compile(self, node: Node) -> tantivy.Query:
        match node:
            case MatchAll():
                return self._constant(self._query.all_query())
            case And(nodes):
                return self._all(nodes)
            case Not():
                return self._all((node,))
            case Boost(inner, factor):
                return self._query.boost_query(self.compile(inner), factor)
            case Finding():
                return self._state.kept.get(node, lambda: self._finding(node))
            case Or() | Term() | Phrase():
                return self._any(self._parts(node))
            case Prefix() | Wildcard() | Fuzzy():
                return self._shape(node)
            case Value(field, value, origin):
                return self._value(field_name(field, origin), value)
            case Among(ids):
                return self._among("id", ids)
            case Present(field, origin):
                return self._present(field, origin)
            case Range(field, low, high):
                return numbers_between(field, low, high)

    def _parts(self, node: Node) -> list[tantivy.Query]:
        """The queries that are alternatives: any must match."""
        match node:
            case Or(nodes):
                # One flat union: nested unions take longer.
                return [query for child in nodes for query in self._parts(child)]
            case Term(text, field, origin) | Phrase(text, field, origin):
                stems = stemmed(text)
                return self._weighted(field, origin, lambda name: self._stems(name, stems))
        return [self.compile(node)]

    def _all(self, nodes: Sequence[Node]) -> tantivy.Query:
        occur = self._tantivy.Occur
        clauses = [
            (occur.MustNot, self.compile(node.node)) for node in nodes if isinstance(node, Not)
        ]
        wanted = [node for node in nodes if not isinstance(node, Not)]
        if len(wanted) == 1:
            clauses += [(occur.Should, query) for query in self._parts(wanted[0])]
        elif wanted:
            clauses += [(occur.Must, self.compile(node)) for node in wanted]
        else:
            # tantivy finds nothing by exclusion alone.
            clauses.append((occur.Must, self._constant(self._query.all_query())))
        return self._query.boolean_query(clauses)

    def _any(self, queries: Sequence[tantivy.Query]) -> tantivy.Query:
        if len(queries) == 1:
            return queries[0]
        return self._query.boolean_query([(self._tantivy.Occur.Should, q) for q in queries])

    def _constant(self, query: tantivy.Query) -> tantivy.Query:
        return self._query.const_score_query(query, 1.0)

    def _value(self, field: str, value: str) -> tantivy.Query:
        return self._constant(self._query.term_query(self._schema, field, value, "basic"))

    def _among(self, field: str, terms: Sequence[str]) -> tantivy.Query:
        return self._constant(self._query.term_set_query(self._schema, field, terms))

    def _finding(self, node: Finding) -> tantivy.Query:
        pairs = self._state.pairs(node)
        if pairs is not None:
            return self._among("joint", pairs)
        return self._among("finding", self._state.findings(node))

    def _weighted(
        self,
        field: str | None,
        origin: Origin | None,
        query: Callable[[str], tantivy.Query],
        *,
        plain: bool = False,
    ) -> list[tantivy.Query]:
        """`query` over the text fields that `field` stands for, of which any must match."""
        annotation = field_name("annotation", origin, plain=plain)
        if field == "annotation" or (field is None and origin):
            return [query(annotation)]
        if field is not None:
            return [query(field_name(field, plain=plain))]
        boosted = self._query.boost_query(query(annotation), ANNOTATION_WEIGHT)
        return [boosted, query(field_name("statement", plain=plain))]

    def _stems(self, field: str, stems: Sequence[str]) -> tantivy.Query:
        if not stems:
            return self._query.empty_query()
        if len(stems) == 1:
            return self._query.term_query(self._schema, field, stems[0])
        return self._query.phrase_query(self._schema, field, list(stems))

    def _shape(self, node: Prefix | Wildcard | Fuzzy) -> tantivy.Query:
        if isinstance(node, Prefix) and node.field == "id":
            if _HEX.issuperset(node.text) and len(node.text) <= 16:
                return self._constant(self._ids(node.text))
            return self._query.empty_query()
        if node.field is not None and FIELDS[node.field] != "text":
            return self._terms(node, field_name(node.field, node.origin), str)
        return self._any(
            self._weighted(
                node.field, node.origin, lambda name: self._terms(node, name, fold), plain=True
            )
        )

    def _terms(
        self, node: Prefix | Wildcard | Fuzzy, field: str, fold: Callable[[str], str]
    ) -> tantivy.Query:
        match node:
            case Prefix(text):
                return self._among(field, self._state.beginning(field, fold(text)))
            case Wildcard(pattern):
                return self._among(field, self._state.of_shape(field, folded(pattern, fold)))
            case Fuzzy(text, _, distance):
                near = self._query.fuzzy_term_query(self._schema, field, fold(text), distance)
                return self._constant(near)

    def _present(self, field: str, origin: Origin | None) -> tantivy.Query:
        if field in SECTIONS:
            return self._value("section", field)
        if FIELDS[field] == "open" and field not in LABELS:
            return self.compile(MatchAll())
        stands_in = {"report": "section", "annotation": "composite"}.get(field, field)
        return self._constant(self._query.exists_query(field_name(stands_in, origin)))

    def _ids(self, prefix: str) -> tantivy.Query:
        """Images whose id begins with these hex digits."""
        low, high = (int(prefix.ljust(16, digit), 16) for digit in "0f")
        return keys_between(low, high)
