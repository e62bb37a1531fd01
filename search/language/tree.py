"""The query tree: what a query means, without a word on how a store answers it.

A parser makes it, the lexicon may expand it, each backend compiles it. Every node is immutable and
hashable. A leaf carries its field and, once `narrow` has run, the label origin it is restricted to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

from indexer.annotation import Origin
from indexer.database.text.schema import LABELS

__all__ = [
    "ANNOTATION_FIELDS",
    "Among",
    "And",
    "Boost",
    "Finding",
    "Fuzzy",
    "Leaf",
    "MatchAll",
    "Node",
    "Not",
    "Or",
    "Phrase",
    "Prefix",
    "Present",
    "Range",
    "Term",
    "Value",
    "Wildcard",
    "any_of",
    "as_finding",
    "conjunction",
    "disjunction",
    "flattened",
    "is_labelled",
    "leaves",
    "narrow",
    "required_certainty",
    "required_origin",
    "written",
]


@dataclass(frozen=True, slots=True)
class MatchAll:
    """Every image."""


@dataclass(frozen=True, slots=True)
class Term:
    """A word of analysed text; `field` None means annotations and what the report affirms."""

    text: str
    field: str | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words of analysed text side by side, inside one annotation or one report section."""

    text: str
    field: str | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Prefix:
    """A word, or the exact value of a keyword field, that begins so; never stemmed."""

    text: str
    field: str | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Wildcard:
    """A word, or the exact value of a keyword field, of a shape: ``*`` any characters, ``?`` one.

    Never stemmed, in lower case. `Prefix` is its commonest case.
    """

    pattern: str
    field: str | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Fuzzy:
    """A word at most `distance` (1 or 2) letters off (Damerau-Levenshtein); never stemmed."""

    text: str
    field: str | None = None
    distance: int = 2
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """The exact value of a keyword field, in lower case."""

    field: str
    value: str
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Among:
    """An image of some, by their ids."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Present:
    """The field has any value."""

    field: str
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """An integer field from `low` to `high`, both included; None leaves a side open."""

    field: str
    low: int | None
    high: int | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One affirmed annotation for which the whole of `node` holds.

    Inside stand And, Or, Not, and leaves without a field (the annotation's text) or with a label
    field (``disease``, ``organ``, ``location``, ``side``, ``severity``, ``composite``).
    """

    node: Node
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Boost:
    """The node, its score multiplied."""

    node: Node
    factor: float


@dataclass(frozen=True, slots=True)
class And:
    """All of the nodes."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of the nodes."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Every image that the node does not match."""

    node: Node


Leaf: TypeAlias = (
    Term | Phrase | Prefix | Wildcard | Fuzzy | Value | Among | Present | Range | MatchAll
)
Node: TypeAlias = Leaf | Finding | Boost | And | Or | Not

# Fields whose values come from annotations, so that a label origin can narrow them.
ANNOTATION_FIELDS = frozenset({None, "annotation", *LABELS})


def conjunction(*nodes: Node) -> Node:
    """All of `nodes`, flattened; `MatchAll` adds nothing."""
    flat: list[Node] = []
    for node in nodes:
        flat.extend(node.nodes if isinstance(node, And) else [node])
    kept = tuple(node for node in flat if not isinstance(node, MatchAll))
    if not kept:
        return MatchAll()
    return kept[0] if len(kept) == 1 else And(kept)


def disjunction(*nodes: Node) -> Node:
    """Any of `nodes`, flattened."""
    flat: list[Node] = []
    for node in nodes:
        flat.extend(node.nodes if isinstance(node, Or) else [node])
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def leaves(node: Node, *, positive: bool = False) -> Iterator[Leaf]:
    """The leaves from left to right; with `positive`, none that stands under a `Not`."""
    if isinstance(node, And | Or):
        for child in node.nodes:
            yield from leaves(child, positive=positive)
    elif isinstance(node, Finding | Boost):
        yield from leaves(node.node, positive=positive)
    elif isinstance(node, Not):
        if not positive:
            yield from leaves(node.node)
    else:
        yield node


def required_origin(node: Node) -> Origin | None:
    """The one label origin that `node` asks for outright, if there is one."""
    parts = [
        part.node if isinstance(part, Boost) else part
        for part in (node.nodes if isinstance(node, And) else (node,))
    ]
    origins = {part.value for part in parts if isinstance(part, Value) and part.field == "origin"}
    return cast(Origin, origins.pop()) if len(origins) == 1 else None


def required_certainty(node: Node) -> str | None:
    """The one certainty that `node` asks for outright, if there is one."""
    parts = node.nodes if isinstance(node, And) else (node,)
    asked = {p.value for p in parts if isinstance(p, Value) and p.field == "certainty"}
    return asked.pop() if len(asked) == 1 else None


def narrow(node: Node, origin: Origin | None = None, certainty: str | None = None) -> Node:
    """Let `origin:x` hold for the labels it is joined with.

    In ``disease:effusion AND origin:human`` the effusion itself must be of human origin: an image
    whose effusion is predicted and whose human label is another one is no hit. An origin inside an
    OR, or under NOT, stays a plain condition on the image. A certainty does the same.

    Parameters
    ----------
    origin
        The origin that holds around `node`; one of its own goes before it.
    certainty
        The same of certainties.
    """
    return _narrow(_certain(node, certainty), origin)


def _certain(node: Node, certainty: str | None) -> Node:
    """Let a certainty hold for the labels it is joined with, each within one annotation."""
    if isinstance(node, And):
        inner = required_certainty(node) or certainty
        return And(tuple(_certain(child, inner) for child in node.nodes))
    if isinstance(node, Not):
        return Not(_certain(node.node, certainty))
    if isinstance(node, Boost):
        return replace(node, node=_certain(node.node, certainty))
    if certainty is None:
        if isinstance(node, Or):
            return Or(tuple(_certain(child, None) for child in node.nodes))
        return node
    sure = Value("certainty", certainty)
    if isinstance(node, Finding):
        asked = any(isinstance(x, Value) and x.field == "certainty" for x in leaves(node.node))
        return node if asked else replace(node, node=conjunction(node.node, sure))
    if is_labelled(node):
        # The finding only narrows; the words themselves stay, as they give the score.
        return And((node, Finding(conjunction(as_finding(node), sure))))
    if isinstance(node, Or):
        return Or(tuple(_certain(child, certainty) for child in node.nodes))
    return node


def is_labelled(node: Node) -> bool:
    """Whether all of a node speaks of annotations."""
    if isinstance(node, Or):
        return all(map(is_labelled, node.nodes))
    if isinstance(node, Boost):
        return is_labelled(node.node)
    if isinstance(node, Term | Phrase | Prefix | Wildcard | Fuzzy | Value | Present):
        return node.field in ANNOTATION_FIELDS
    return False


def as_finding(node: Node) -> Node:
    """A labelled node as it stands within one annotation, whose words have no field."""
    if isinstance(node, Or):
        return Or(tuple(map(as_finding, node.nodes)))
    if isinstance(node, Boost):
        return as_finding(node.node)
    if isinstance(node, Term | Phrase | Prefix | Wildcard | Fuzzy) and node.field == "annotation":
        return replace(node, field=None)
    return MatchAll() if node == Present("annotation") else node


def _narrow(node: Node, origin: Origin | None) -> Node:
    if isinstance(node, And):
        inner = required_origin(node) or origin
        return And(tuple(_narrow(child, inner) for child in node.nodes))
    if isinstance(node, Or):
        return Or(tuple(_narrow(child, origin) for child in node.nodes))
    if isinstance(node, Not):
        return Not(_narrow(node.node, origin))
    if isinstance(node, Boost):
        return replace(node, node=_narrow(node.node, origin))
    if isinstance(node, Finding):
        return replace(node, origin=node.origin or origin)
    if origin and isinstance(node, Term | Phrase | Prefix | Wildcard | Fuzzy | Value | Present):
        return replace(node, origin=origin) if node.field in ANNOTATION_FIELDS else node
    return node


def any_of(nodes: Iterable[Node]) -> Node:
    """Any of the nodes, each once."""
    flat = disjunction(*nodes)
    return disjunction(*dict.fromkeys(flat.nodes)) if isinstance(flat, Or) else flat


def flattened(node: Node) -> Node:
    """The same tree, without And in And, Or in Or, and doubles in Or."""
    match node:
        case And(nodes):
            return conjunction(*map(flattened, nodes))
        case Or(nodes):
            return any_of(map(flattened, nodes))
        case Not(child) | Boost(child) | Finding(child):
            return replace(node, node=flattened(child))
    return node


def written(node: Node) -> str:
    """A tree of words, phrases and values as a query that `search.language.query.parse` reads."""
    match node:
        case And(nodes) | Or(nodes):
            between = " AND " if isinstance(node, And) else " OR "
            return between.join(
                f"({written(n)})" if isinstance(n, And | Or) else written(n) for n in nodes
            )
        case Term(text, field) | Phrase(text, field) | Value(field, text):
            quoted = text.replace("\\", "\\\\").replace('"', '\\"')
            shown = f'"{quoted}"' if not isinstance(node, Term) else text
            return f"{field}:{shown}" if field else shown
    raise ValueError(f"{type(node).__name__} is none of words, phrases and values")
