"""Which pairs of words of one annotation a `search.language.tree.Finding` means.

The distinct annotations of a large archive are many, their words few. A finding that asks for two
things at most, each one of several words, is a set of pairs, which a store can index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import TypeAlias

from indexer.annotation import Origin
from indexer.database.text.schema import LABELS, analyzer
from indexer.database.text.tantivy.schema import pair_term
from search.language.findings import fold
from search.language.tree import (
    And,
    Boost,
    Finding,
    Fuzzy,
    Node,
    Or,
    Phrase,
    Prefix,
    Present,
    Term,
    Value,
    Wildcard,
    conjunction,
)
from search.language.wildcards import matcher

__all__ = ["ItemPairs"]

_MAX_PAIRS = 5_000
# Fields of items that are not words of an annotation.
_ATTRIBUTES = ("origin", "certainty")

#: Alternatives: each is one or two sets of items, and an annotation must have one item of each.
_Ways: TypeAlias = list[tuple[frozenset[str], ...]]


class ItemPairs:
    """Items (`indexer.database.text.tantivy.schema.pair_items`) by what they say.

    Parameters
    ----------
    items
        Every item there is.
    """

    def __init__(self, items: Iterable[str]) -> None:
        self._items = [(item, *item.split(":", 1)) for item in items]
        self._stems = {item: analyzer().analyze(text) for item, _, text in self._items}
        self._first = {stems[0] for stems in self._stems.values() if stems}
        self._of_stem: dict[str, list[str]] = {}
        for item, stems in self._stems.items():
            for stem in dict.fromkeys(stems):
                self._of_stem.setdefault(stem, []).append(item)

    def terms(self, finding: Finding) -> list[str] | None:
        """The pair terms that each mean the finding; None where it is no set of them."""
        node = finding.node
        if finding.origin:
            node = conjunction(Value("origin", finding.origin), node)
        ways = self._ways(node)
        if ways is None or sum(len(a) * len(b[0] if b else "1") for a, *b in ways) > _MAX_PAIRS:
            return None
        return sorted({pair_term(*pair) for way in ways for pair in product(*way)})

    def _ways(self, node: Node, origin: Origin | None = None) -> _Ways | None:
        match node:
            case Or(nodes):
                parts = [self._ways(child) for child in nodes]
                singles: set[str] = set()
                pairs: _Ways = []
                for ways in parts:
                    if ways is None:
                        return None
                    for way in ways:
                        if len(way) == 1:
                            singles |= way[0]
                        else:
                            pairs.append(way)
                return [(frozenset(singles),), *pairs]
            case And(nodes):
                joined: _Ways = [()]
                for child in nodes:
                    ways = self._ways(child)
                    if ways is None:
                        return None
                    joined = [(*before, *way) for before in joined for way in ways]
                    if len(joined) > _MAX_PAIRS or any(len(way) > 2 for way in joined):
                        return None
                return joined
            case Boost(child):
                return self._ways(child)
            case Term(text, _, origin) | Phrase(text, _, origin):
                stems = analyzer().analyze(text)
                found = None if self._may_cross(stems) else self._saying(stems)
            case Value("composite") | Present("composite"):
                found = None
            case Value(field, value, origin):
                item = f"{field}:{value}"
                found = frozenset({item} if item in self._stems else ())
            case Present(field, origin):
                found = self._where(lambda kind, _: kind == field)
            case Prefix(_, field, origin) | Wildcard(_, field, origin) | Fuzzy(_, field, _, origin):
                found = self._shaped(node, field)
            case _:
                found = None
        if found is None or origin is None:
            return None if found is None else [(found,)]
        return [(found, frozenset({f"origin:{origin}"}))]

    def _where(self, test: Callable[[str, str], bool]) -> frozenset[str]:
        return frozenset(item for item, kind, text in self._items if test(kind, text))

    def _shaped(self, node: Prefix | Wildcard | Fuzzy, field: str | None) -> frozenset[str] | None:
        if field == "composite":
            return None
        if field in (*LABELS, *_ATTRIBUTES):
            fits = matcher(node, str)
            return self._where(lambda kind, text: kind == field and fits(text))
        fits = matcher(node, fold)
        plain = analyzer(plain=True)
        return self._where(
            lambda kind, text: kind not in _ATTRIBUTES and any(map(fits, plain.analyze(text)))
        )

    def _saying(self, stems: Sequence[str]) -> frozenset[str]:
        """The items in whose text these stems stand side by side."""
        width, wanted = len(stems), list(stems)
        return frozenset(
            item
            for item in (self._of_stem.get(wanted[0], ()) if wanted else ())
            if item.partition(":")[0] not in _ATTRIBUTES
            and any(
                self._stems[item][start : start + width] == wanted
                for start in range(len(self._stems[item]) - width + 1)
            )
        )

    def _may_cross(self, stems: Sequence[str]) -> bool:
        """Whether these stems may begin in one item and go on in the next."""
        return any(
            stems[cut] in self._first
            and any(
                self._stems[item][-cut:] == list(stems[:cut])
                for item in self._of_stem.get(stems[cut - 1], ())
            )
            for cut in range(1, len(stems))
        )
