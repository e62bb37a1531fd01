"""What a query means, said once more over plain documents and without any index.

Stems come from the embedded store's analyzer; everything else is written here anew.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from indexer.annotation import Origin
from indexer.database.text.documents import Document
from indexer.database.text.schema import analyzer
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
    Range,
    Term,
    Value,
    Wildcard,
)
from search.results import FacetCount

__all__ = ["counts", "matches", "ordered"]

_LABELS = ("disease", "organ", "location", "side", "severity")
_SECTIONS = ("indication", "comparison", "findings", "impression")


def matches(node: Node, document: Document) -> bool:
    """Whether an image is a hit of a tree that `search.language.tree.narrow` has been over."""
    match node:
        case Finding(inner, origin):
            annotations = [a for a in document["annotations"] if origin in (None, a["origin"])]
            return any(_holds(inner, _OfFinding(annotation)) for annotation in annotations)
        case _:
            return _holds(node, _OfImage(document))


class _OfImage:
    """Texts and values of an image, by field."""

    def __init__(self, document: Document) -> None:
        self.document = document

    def texts(self, field: str | None, origin: Origin | None) -> list[str]:
        document = self.document
        annotations = [a["text"] for a in document["annotations"] if origin in (None, a["origin"])]
        report = document["report"] or {}
        if field == "annotation" or (field is None and origin):
            return annotations
        if field is None:
            return annotations + list(document["statements"].values())
        return [text for name, text in report.items() if field in ("report", name)]

    def values(self, field: str, origin: Origin | None) -> list[Any]:
        return _values(self.document, field, origin)


class _OfFinding:
    """Texts and values of one annotation."""

    def __init__(self, annotation: Mapping[str, Any]) -> None:
        self.annotation = annotation

    def texts(self, field: str | None, origin: Origin | None) -> list[str]:
        return [self.annotation["text"]]

    def values(self, field: str, origin: Origin | None) -> list[Any]:
        return _labels(self.annotation, field)


def _holds(node: Node, of: _OfImage | _OfFinding) -> bool:
    match node:
        case MatchAll():
            return True
        case And(nodes):
            return all(_holds(child, of) for child in nodes)
        case Or(nodes):
            return any(_holds(child, of) for child in nodes)
        case Not(child):
            return not _holds(child, of)
        case Boost(child):
            return _holds(child, of)
        case Finding():
            assert isinstance(of, _OfImage)
            return matches(node, of.document)
        case Term(text, field, origin) | Phrase(text, field, origin):
            return any(_side_by_side(_stems(text), _stems(t)) for t in of.texts(field, origin))
        case Prefix(text, field, origin):
            return _any_term(of, field, origin, lambda term: term.startswith(_folded(text)))
        case Wildcard(pattern, field, origin):
            parts = (_WILD.get(c, re.escape(c)) for c in _folded(pattern))
            shape = re.compile("".join(parts), re.DOTALL)
            return _any_term(of, field, origin, lambda term: shape.fullmatch(term) is not None)
        case Fuzzy(text, field, distance, origin):
            word = _folded(text)
            return _any_term(of, field, origin, lambda term: _near(word, term, distance))
        case Value(field, value, origin):
            return value in of.values(field, origin)
        case Present(field, origin):
            if field in (*_SECTIONS, "report"):
                return bool(of.texts(field, origin))
            if field == "annotation":
                return bool(of.values("disease", origin))
            return bool(of.values(field, origin))
        case Range(field, low, high):
            return any(
                (low is None or number >= low) and (high is None or number <= high)
                for number in of.values(field, None)
            )
    raise AssertionError(node)


@functools.cache
def _stems(text: str) -> list[str]:
    return analyzer().analyze(text)


@functools.cache
def _tokens(text: str) -> list[str]:
    return analyzer(plain=True).analyze(text)


_WILD = {"*": ".*", "?": "."}


def _folded(text: str) -> str:
    """Lower case without accents, as far as the contract's queries have any."""
    return text.lower().translate(str.maketrans("äéïöü", "aeiou"))


def _any_term(
    of: _OfImage | _OfFinding,
    field: str | None,
    origin: Origin | None,
    test: Callable[[str], bool],
) -> bool:
    """Whether a word as written, or the value of a keyword field, passes."""
    if field is None or field in ("annotation", "report", *_SECTIONS):
        texts = of.texts(field, origin)
        return any(test(token) for t in texts for token in _tokens(t))
    return any(test(str(value)) for value in of.values(field, origin))


def _side_by_side(wanted: Sequence[str], tokens: Sequence[str]) -> bool:
    n = len(wanted)
    return n > 0 and any(tokens[i : i + n] == wanted for i in range(len(tokens) - n + 1))


@functools.cache
def _near(a: str, b: str, most: int) -> bool:
    """Whether at most so many letters are put in, left out, changed, or swapped with the next."""
    if abs(len(a) - len(b)) > most:
        return False
    rows = [list(range(len(b) + 1))]
    for i, letter in enumerate(a, 1):
        row = [i]
        for j, other in enumerate(b, 1):
            best = min(row[j - 1] + 1, rows[-1][j] + 1, rows[-1][j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1] <= most


def _labels(annotation: Mapping[str, Any], field: str) -> list[str]:
    if field == "composite":
        return [annotation["text"].lower()]
    return [word["text"].lower() for word in annotation["words"] if word["kind"] == field]


def _values(document: Document, field: str, origin: Origin | None = None) -> list[Any]:
    if field in (*_LABELS, "composite"):
        annotations = [a for a in document["annotations"] if origin in (None, a["origin"])]
        return [value for annotation in annotations for value in _labels(annotation, field)]
    if field == "origin":
        return [annotation["origin"] for annotation in document["annotations"]]
    if field in ("absent", "uncertain"):
        return [a["disease"].lower() for a in document[field]]  # type: ignore[literal-required]
    value = document[field]  # type: ignore[literal-required]
    if value is None:
        return []
    return [value.lower() if isinstance(value, str) else value]


def counts(documents: Iterable[Document], field: str) -> list[FacetCount]:
    """Every value of a facet with its number of images, the commonest first."""
    counter = Counter(value for document in documents for value in set(_values(document, field)))
    return [
        FacetCount(value, count)
        for value, count in sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    ]


def ordered(documents: Iterable[Document], field: str, *, descending: bool = False) -> list[str]:
    """Ids sorted by a number, missing ones last and ties by id."""

    def place(document: Document) -> tuple[bool, int, str]:
        number = document[field]  # type: ignore[literal-required]
        value = 0 if number is None else -number if descending else number
        return number is None, value, document["id"]

    return [document["id"] for document in sorted(documents, key=place)]
