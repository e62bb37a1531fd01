"""Which annotations a `search.language.tree.Finding` means, told without a store.

The distinct annotations of an archive are few beside its images, so a store need only know which
image has which.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from typing import Any

from indexer.annotation import Origin
from indexer.database.text.schema import LABELS, analyzer, stemmed
from search.language.tree import (
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
    Term,
    Value,
    Wildcard,
)
from search.language.wildcards import matcher

__all__ = ["Findings", "fold"]


def fold(text: str) -> str:
    """A word as plain text fields hold it: in lower case, without accents."""
    return "".join(analyzer(plain=True).analyze(text))


class Findings:
    """Distinct annotations with an inverted index over their words; it only grows.

    Parameters
    ----------
    terms
        Of `indexer.database.text.tantivy.schema.finding_term`.
    """

    def __init__(self, terms: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._terms: list[str] = []
        self._stems: list[tuple[str, ...]] = []
        self._of_stem: dict[str, set[int]] = {}
        self._of_plain: dict[str, set[int]] = {}
        self._of_value: dict[str, dict[str, set[int]]] = {label: {} for label in LABELS}
        self._of_origin: dict[str, set[int]] = {}
        self._of_certainty: dict[str, set[int]] = {}
        self.add(terms)

    def __len__(self) -> int:
        return len(self._terms)

    def add(self, terms: Iterable[str]) -> None:
        """Learn the terms that are new."""
        with self._lock:
            for term in terms:
                if term not in self._known:
                    self._known.add(term)
                    self._index(term)

    def _index(self, term: str) -> None:
        number = len(self._terms)
        finding: dict[str, Any] = json.loads(term)
        found = tuple(analyzer().analyze(finding["text"]))
        for stem in found:
            self._of_stem.setdefault(stem, set()).add(number)
        for token in analyzer(plain=True).analyze(finding["text"]):
            self._of_plain.setdefault(token, set()).add(number)
        for label, values in self._of_value.items():
            for value in finding.get(label, ()):
                values.setdefault(value, set()).add(number)
        self._of_origin.setdefault(finding["origin"], set()).add(number)
        self._of_certainty.setdefault(finding["certainty"], set()).add(number)
        self._stems.append(found)
        self._terms.append(term)

    def matching(self, finding: Finding) -> list[str]:
        """The terms for which all of `finding` holds."""
        with self._lock:
            found = self._narrowed(self._evaluate(finding.node), finding.origin)
            return [self._terms[number] for number in sorted(found)]

    def _evaluate(self, node: Node) -> set[int]:
        match node:
            case MatchAll():
                return set(range(len(self._terms)))
            case And(nodes):
                return set.intersection(*map(self._evaluate, nodes))
            case Or(nodes):
                return set.union(*map(self._evaluate, nodes))
            case Not(inner):
                return set(range(len(self._terms))) - self._evaluate(inner)
            case Boost(inner):
                return self._evaluate(inner)
            case Finding(inner, origin):
                return self._narrowed(self._evaluate(inner), origin)
            case Term(text, _, origin) | Phrase(text, _, origin):
                return self._narrowed(self._with(stemmed(text)), origin)
            case Value("origin", value):
                return set(self._of_origin.get(value, ()))
            case Value("certainty", value):
                return set(self._of_certainty.get(value, ()))
            case Present("certainty"):
                return set(range(len(self._terms)))
            case Value(field, value, origin):
                return self._narrowed(self._of_value[field].get(value, set()), origin)
            case Present(field, origin):
                return self._narrowed(set().union(*self._of_value[field].values()), origin)
            case Prefix() | Wildcard() | Fuzzy():
                if node.field in self._of_value:
                    found = _fitting(self._of_value[node.field], matcher(node, str))
                else:
                    found = _fitting(self._of_plain, matcher(node, fold))
                return self._narrowed(found, node.origin)
        raise ValueError(f"{node} stands in no finding")

    def _narrowed(self, found: set[int], origin: Origin | None) -> set[int]:
        return found & self._of_origin.get(origin, set()) if origin else set(found)

    def _with(self, wanted: tuple[str, ...]) -> set[int]:
        """The annotations in which these stems stand side by side."""
        if not wanted:
            return set()
        found = set.intersection(*(self._of_stem.get(stem, set()) for stem in wanted))
        width = len(wanted)
        if width == 1:
            return found
        return {
            number
            for number in found
            for start in range(len(self._stems[number]) - width + 1)
            if self._stems[number][start : start + width] == wanted
        }


def _fitting(index: dict[str, set[int]], fits: Callable[[str], bool]) -> set[int]:
    return set().union(*(numbers for word, numbers in index.items() if fits(word)))
