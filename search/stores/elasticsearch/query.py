"""The query tree compiled to Elasticsearch's query DSL, node by node."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from indexer.annotation import Origin
from indexer.archive.report_files.sections import SECTIONS
from indexer.database.text.schema import field_name
from indexer.errors import QueryError
from search.language.fields import FIELDS
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
    narrow,
    required_certainty,
    required_origin,
)
from search.stores.backend import ANNOTATION_WEIGHT

__all__ = ["QueryBody", "compile_both", "compile_tree"]

#: A query as the server takes it.
QueryBody: TypeAlias = dict[str, Any]

_LONGEST_FUZZY = 64
_BOOSTS = (1e-9, 1e9)


def compile_both(query: Node, conditions: Node) -> QueryBody:
    """Both trees as one query, in which the conditions weigh nothing."""
    asked = narrow(query, required_origin(conditions), required_certainty(conditions))
    given = narrow(conditions, required_origin(query), required_certainty(query))
    return {"bool": {"must": [compile_tree(asked)], "filter": [compile_tree(given)]}}


def compile_tree(node: Node) -> QueryBody:
    """The query DSL of a tree that has been narrowed."""
    return _Images().compile(node, 1.0)


class _Compiler(ABC):
    """One method per kind of node; what a field is called depends on where the tree holds."""

    @abstractmethod
    def exact(self, field: str, origin: Origin | None) -> str:
        """The keyword or number field of the index."""

    @abstractmethod
    def texts(self, field: str | None, origin: Origin | None) -> list[tuple[str, float]]:
        """The text fields of the index, with their weights."""

    def present(self, field: str, origin: Origin | None) -> QueryBody:
        """A condition that the field has a value."""
        return {"exists": {"field": self.exact(field, origin)}}

    def compile(self, node: Node, boost: float) -> QueryBody:
        match node:
            case MatchAll():
                return {"match_all": {"boost": boost}}
            case And(nodes):
                return self._all(nodes, boost)
            case Or(nodes):
                should = [self.compile(child, 1.0) for child in nodes]
                return {"bool": {"should": should, "boost": boost}}
            case Not():
                return self._all((node,), boost)
            case Boost(child, factor):
                return self.compile(child, min(max(boost * factor, _BOOSTS[0]), _BOOSTS[1]))
            case Term(text, field, origin) | Phrase(text, field, origin):
                # A word may be several tokens (x-ray), which stand side by side in the text too.
                return self._text(field, origin, boost, lambda weight: _phrase(text, weight))
            case Prefix(text, field, origin):
                return self._shape("prefix", {"value": text}, field, origin, boost)
            case Wildcard(pattern, field, origin):
                return self._shape("wildcard", {"value": pattern}, field, origin, boost)
            case Fuzzy(text, field, distance, origin):
                if len(text) > _LONGEST_FUZZY:
                    raise QueryError(f"a fuzzy word has at most {_LONGEST_FUZZY} letters")
                how = {"value": text, "fuzziness": distance, "rewrite": "constant_score"}
                return self._shape("fuzzy", how, field, origin, boost)
            case Value(field, value, origin):
                term = {"term": {self.exact(field, origin): value}}
                return _constant(term, boost)
            case Among(ids):
                return _constant({"terms": {self.exact("id", None): list(ids)}}, boost)
            case Present(field, origin):
                return _constant(self.present(field, origin), boost)
            case Range(field, low, high):
                bounds = {k: v for k, v in (("gte", low), ("lte", high)) if v is not None}
                return _constant({"range": {self.exact(field, None): bounds}}, boost)
            case Finding(child, origin):
                return _finding(child, origin, boost)

    def _all(self, nodes: Sequence[Node], boost: float) -> QueryBody:
        nodes = [_without_double_negation(node) for node in nodes]
        if len(nodes) == 1 and not isinstance(nodes[0], Not):
            return self.compile(nodes[0], boost)
        must = [self.compile(node, 1.0) for node in nodes if not isinstance(node, Not)]
        without = [self.compile(node.node, 1.0) for node in nodes if isinstance(node, Not)]
        clauses: QueryBody = {"must": must or [{"match_all": {}}], "boost": boost}
        if without:
            clauses["must_not"] = without
        return {"bool": clauses}

    def _text(
        self,
        field: str | None,
        origin: Origin | None,
        boost: float,
        query: Callable[[float], tuple[str, QueryBody]],
        suffix: str = "",
    ) -> QueryBody:
        clauses = []
        for name, weight in self.texts(field, origin):
            kind, how = query(weight * boost)
            clauses.append({kind: {name + suffix: how}})
        return clauses[0] if len(clauses) == 1 else {"bool": {"should": clauses}}

    def _shape(
        self, kind: str, how: QueryBody, field: str | None, origin: Origin | None, boost: float
    ) -> QueryBody:
        """A query by the letters of a term: in text, of its words as they are written."""
        if field is not None and FIELDS[field] != "text":
            return {kind: {self.exact(field, origin): {**how, "boost": boost}}}
        return self._text(
            field, origin, boost, lambda weight: (kind, {**how, "boost": weight}), ".plain"
        )


class _Images(_Compiler):
    """Conditions on an image."""

    def exact(self, field: str, origin: Origin | None) -> str:
        return field_name(field, origin)

    def texts(self, field: str | None, origin: Origin | None) -> list[tuple[str, float]]:
        annotation = self.exact("annotation", origin)
        if field == "annotation" or (field is None and origin):
            return [(annotation, 1.0)]
        if field is not None:
            return [(field, 1.0)]
        return [(annotation, ANNOTATION_WEIGHT), ("statement", 1.0)]

    def present(self, field: str, origin: Origin | None) -> QueryBody:
        if field in SECTIONS:
            return {"term": {"section": field}}
        if field in ("id", "study", "patient"):
            return {"match_all": {}}
        stands_in = {"report": "section", "annotation": "disease"}.get(field, field)
        return super().present(stands_in, origin)


class _Findings(_Compiler):
    """Conditions on one finding of an image, its parts together."""

    def exact(self, field: str, origin: Origin | None) -> str:
        return f"finding.{field}"

    def texts(self, field: str | None, origin: Origin | None) -> list[tuple[str, float]]:
        return [("finding.text", 1.0)]


def _finding(node: Node, origin: Origin | None, boost: float) -> QueryBody:
    conditions: list[QueryBody] = [{"term": {"finding.status": "affirmed"}}]
    if origin:
        conditions.append({"term": {"finding.origin": origin}})
    inner = {"bool": {"filter": [_Findings().compile(node, 1.0), *conditions]}}
    return _constant({"nested": {"path": "finding", "query": inner}}, boost)


def _phrase(text: str, weight: float) -> tuple[str, QueryBody]:
    return "match_phrase", {"query": text, "boost": weight}


def _constant(query: QueryBody, boost: float) -> QueryBody:
    return {"constant_score": {"filter": query, "boost": boost}}


def _without_double_negation(node: Node) -> Node:
    while isinstance(node, Not) and isinstance(node.node, Not):
        node = node.node.node
    return node
