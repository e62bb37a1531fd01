"""Highlights: which words of a document's annotations and report a query matched.

Done here rather than by a store, so that all stores mark alike.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from indexer.database.text.documents import Document
from indexer.database.text.schema import LABELS, Statement, analyzer, stemmed
from indexer.database.text.tantivy.schema import finding_term
from search.language.findings import Findings, fold
from search.language.tree import (
    And,
    Boost,
    Finding,
    Fuzzy,
    Leaf,
    Node,
    Not,
    Or,
    Phrase,
    Prefix,
    Term,
    Value,
    Wildcard,
)
from search.language.wildcards import matcher
from search.results import Fragment, Highlights

__all__ = ["Highlighter"]

_SENTENCE = re.compile(r".+?(?:[.!?]+(?=\s|$)|\n|$)", re.DOTALL)
_LONGEST = 240
_MAX_SENTENCES = 5
# Number of a leaf that belongs to no finding.
_ALONE = -1


class Highlighter:
    """Marks what a query matched.

    Parameters
    ----------
    query
        The tree, after `search.language.tree.narrow`. Leaves under NOT mark nothing.
    """

    def __init__(self, query: Node) -> None:
        leaves = list(dict.fromkeys(_leaves(query)))
        self._asked = list(dict.fromkeys(found for _, found in leaves if found is not None))
        # Findings are identified by number: hashing one would walk its whole tree each time.
        numbers: dict[Finding | None, int] = {one: n for n, one in enumerate(self._asked)}
        self._every = frozenset({_ALONE, *numbers.values()})
        self._leaves = [(leaf, numbers.get(finding, _ALONE)) for leaf, finding in leaves]
        self._whole = [leaf for leaf in self._leaves if _field(leaf[0]) == "composite"]
        self._labels = [leaf for leaf in self._leaves if _field(leaf[0]) in LABELS]
        self._texts = [leaf for leaf in self._leaves if _field(leaf[0]) in (None, "annotation")]
        self._plain = _Wanted(
            leaf
            for leaf, finding in self._leaves
            if finding == _ALONE and isinstance(leaf, _WORDS)
            if leaf.field is None and leaf.origin is None
        )
        self._written: dict[str, _Wanted] = {}
        # A field of what the report denies or doubts.
        self._told = {
            field: [_fits(leaf) for leaf, _ in self._leaves if _field(leaf) == field]
            for field in ("absent", "uncertain")
        }
        # Texts that many images of an answer share are marked once.
        self._found: dict[Statement, _Spans] = {}
        self._looked_for: dict[tuple[str, frozenset[int]], _LookedFor] = {}

    def mark(self, document: Document) -> Highlights:
        """The matching annotations, whole, and up to five matching sentences of the report.

        A word without a field marks nothing that the report denies or doubts.
        """
        annotations = [
            Fragment(annotation["text"], spans, annotation["origin"])
            for annotation in document["annotations"]
            if (spans := self._spans(annotation))
        ]
        report: list[Fragment] = []
        for section, text in (document["report"] or {}).items():
            if section not in self._written:
                written = (leaf for leaf, _ in self._leaves if _field(leaf) in ("report", section))
                self._written[section] = _Wanted(written)
            places = [*self._written[section].places(text)]
            if section in document["statements"]:
                places += self._plain.places(document["statements"][section])
            if places:
                report += _sentences(text, _joined(places))
        return Highlights(
            tuple(annotations),
            tuple(report[:_MAX_SENTENCES]),
            self._annotation_fragments("absent", document["absent"]),
            self._annotation_fragments("uncertain", document["uncertain"]),
        )

    def _spans(self, annotation: Mapping[str, Any]) -> _Spans:
        statement = Statement.of(annotation)
        spans = self._found.get(statement)
        if spans is None:
            spans = self._found[statement] = _joined(self._in_annotation(annotation))
        return spans

    def _in_annotation(self, annotation: Mapping[str, Any]) -> list[tuple[int, int]]:
        everything = self._places(annotation, self._every)
        if not self._asked or not everything:
            return everything
        # If the finding as a whole does not match an annotation, none of its words are marked.
        known = _finding(finding_term(annotation))
        meant = {n for n, finding in enumerate(self._asked) if known.matching(finding)}
        return self._places(annotation, frozenset({_ALONE, *meant}))

    def _places(
        self, annotation: Mapping[str, Any], meant: frozenset[int]
    ) -> list[tuple[int, int]]:
        """What is marked in an annotation that some of the findings mean."""
        text = annotation["text"]
        whole, labels, texts = self._wanted(annotation["origin"], meant)
        found = [*texts.places(text)]
        if whole and any(fits(text.lower()) for fits in whole):
            found.append((0, len(text)))
        for field, fits in labels:
            start = 0
            for word in annotation["words"]:
                end = start + len(word["text"])
                if word["kind"] == field and fits(word["text"].lower()):
                    found.append((start, end))
                start = end + len(", ")
        return found

    def _wanted(self, origin: str, meant: frozenset[int]) -> _LookedFor:
        """What marks annotations of an origin that some of the findings mean."""

        def of(leaves: Sequence[tuple[Leaf, int]]) -> list[Leaf]:
            return [
                leaf
                for leaf, finding in leaves
                if finding in meant and getattr(leaf, "origin", None) in (None, origin)
            ]

        if (origin, meant) not in self._looked_for:
            self._looked_for[origin, meant] = _LookedFor(
                [_fits(leaf) for leaf in of(self._whole)],
                [(_field(leaf), _fits(leaf)) for leaf in of(self._labels)],
                _Wanted(of(self._texts)),
            )
        return self._looked_for[origin, meant]

    def _annotation_fragments(
        self, field: str, annotations: Sequence[Mapping[str, Any]]
    ) -> tuple[Fragment, ...]:
        """The annotations that people or the report deny, or doubt, and the query asks for."""
        if not self._told[field]:
            return ()
        return tuple(
            Fragment(a["text"], ((0, len(a["disease"])),), a["origin"])
            for a in annotations
            if any(fits(a["disease"].lower()) for fits in self._told[field])
        )


_WORDS = (Term, Phrase, Prefix, Wildcard, Fuzzy)


def _leaves(node: Node, finding: Finding | None = None) -> Iterator[tuple[Leaf, Finding | None]]:
    """The leaves that may mark, each with the finding it stands in."""
    if isinstance(node, And | Or):
        for child in node.nodes:
            yield from _leaves(child, finding)
    elif isinstance(node, Finding):
        yield from _leaves(node.node, node)
    elif isinstance(node, Boost):
        yield from _leaves(node.node, finding)
    elif not isinstance(node, Not):
        yield node, finding


def _field(leaf: Leaf) -> str | None:
    """The field a leaf marks; `""` for one that marks nothing."""
    return leaf.field if isinstance(leaf, (*_WORDS, Value)) else ""


def _fits(leaf: Leaf) -> Callable[[str], bool]:
    """Whether a value of a keyword field is what the leaf asks for."""
    if isinstance(leaf, Prefix | Wildcard | Fuzzy):
        return matcher(leaf, str)
    return lambda value: isinstance(leaf, Value) and value == leaf.value


_Spans: TypeAlias = tuple[tuple[int, int], ...]
_Tokens: TypeAlias = tuple[tuple[str, ...], tuple[tuple[int, int], ...]]


def _tokens(text: str, plain: bool) -> _Tokens:
    """Tokens of a text, stemmed or plain, and from where to where each goes."""
    clean = text.encode("utf-8", "replace").decode()
    tokens = analyzer(plain=plain).pre_tokenize(clean).tokens
    places = tuple((token.char_offset_from, token.char_offset_to) for token in tokens)
    return tuple(token.text for token in tokens), places


# Annotations are made of few words, and most of an archive's say the same.
_tokens_of_annotation = functools.lru_cache(maxsize=16384)(_tokens)
_SHORT = 120


class _Wanted:
    """Words that are looked for in texts.

    Parameters
    ----------
    leaves
        Any of them is enough.
    """

    def __init__(self, leaves: Iterable[Leaf]) -> None:
        #: Phrases as stems, by their first stem.
        self._phrases: dict[str, list[tuple[str, ...]]] = {}
        self._shapes: list[Callable[[str], bool]] = []
        for leaf in leaves:
            if isinstance(leaf, Term | Phrase):
                if wanted := stemmed(leaf.text):
                    self._phrases.setdefault(wanted[0], []).append(wanted)
            elif isinstance(leaf, Prefix | Wildcard | Fuzzy):
                self._shapes.append(matcher(leaf, fold))

    def places(self, text: str) -> Iterator[tuple[int, int]]:
        """Where any of them matches."""
        read = _tokens_of_annotation if len(text) <= _SHORT else _tokens
        if self._phrases:
            found, places = read(text, False)
            # Most texts have none of them.
            if self._phrases.keys().isdisjoint(found):
                found = ()
            for start, stem in enumerate(found):
                for wanted in self._phrases.get(stem, ()):
                    end = start + len(wanted)
                    if found[start:end] == wanted:
                        yield places[start][0], places[end - 1][1]
        if self._shapes:
            words, places = read(text, True)
            for fits in self._shapes:
                for word, place in zip(words, places, strict=True):
                    if fits(word):
                        yield place


class _LookedFor(NamedTuple):
    """What marks an annotation: all of it, its labels by field, and words of its text."""

    whole: list[Callable[[str], bool]]
    labels: list[tuple[str | None, Callable[[str], bool]]]
    texts: _Wanted


@functools.lru_cache(maxsize=4096)
def _finding(term: str) -> Findings:
    """One annotation, to be asked what means it."""
    return Findings([term])


def _joined(spans: Iterable[tuple[int, int]]) -> _Spans:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)


def _sentences(text: str, spans: Sequence[tuple[int, int]]) -> Iterator[Fragment]:
    """The sentences that hold matches; of a very long one the part around its first match."""
    remaining = list(spans)
    for sentence in _SENTENCE.finditer(text):
        if not remaining:
            return
        start, end = sentence.span()
        # A phrase may run over a full stop ("no. 5"): the fragment is widened to hold it.
        if remaining[0][0] >= end:
            continue
        first, last = remaining[0]
        if end - start > _LONGEST:
            start = max(start, first - _LONGEST // 2)
            end = min(end, start + _LONGEST)
        end = max(end, last)
        inside = [span for span in remaining if span[1] <= end]
        remaining = [span for span in remaining if span[0] >= sentence.end()]
        while start < first and text[start].isspace():
            start += 1
        end = max(last, start + len(text[start:end].rstrip()))
        yield Fragment(text[start:end], tuple((a - start, b - start) for a, b in inside))
