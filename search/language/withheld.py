"""A query of someone who may not see the text of reports, kept away from it."""

from __future__ import annotations

from dataclasses import replace

from indexer.errors import QueryError
from search.language.fields import FIELDS
from search.language.tree import (
    And,
    Boost,
    Fuzzy,
    Node,
    Not,
    Or,
    Phrase,
    Prefix,
    Present,
    Term,
    Wildcard,
)

__all__ = ["without_reports"]

_OF_REPORTS = frozenset(
    name for name, kind in FIELDS.items() if kind == "text" and name != "annotation"
)


def without_reports(node: Node) -> Node:
    """The same tree, whose words without a field are looked for in annotations alone.

    Raises
    ------
    QueryError
        It asks for a field of reports.
    """
    if isinstance(node, And | Or):
        return type(node)(tuple(map(without_reports, node.nodes)))
    if isinstance(node, Not | Boost):
        return replace(node, node=without_reports(node.node))
    if isinstance(node, Term | Phrase | Prefix | Wildcard | Fuzzy | Present):
        if node.field in _OF_REPORTS:
            raise QueryError(f"{node.field}: the text of reports is not for your role")
        if node.field is None:
            return replace(node, field="annotation")
    return node
