"""Highlights: which words of a document's annotations and report a query matched.

Done here rather than by a store, so that all stores mark alike.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from indexer.database.text.documents import Document
from indexer.database.text.schema import LABELS, analyzer
from indexer.database.text.tantivy.schema import finding_term
from search.language.findings import Findings, fold
from search.language.shapes import matcher
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
    Value,
    Wildcard,
    Word,
)
from search.results import Fragment, Highlights

__all__ = ["Highlighter"]

_SENTENCE = re.compile(r".+?(?:[.!?]+(?=\s|$)|\n|$)", re.DOTALL)
_LONGEST = 240
_MOST = 5


class Highlighter:
    """Marks what a query matched.

    Parameters
    ----------
    query
        The tree, after `search.language.tree.narrow`. Leaves under NOT mark nothing.
    """

    def __init__(self, query: Node) -> None:
        self._leaves = list(dict.fromkeys(_leaves(query)))
        self._asked = {finding for _, finding in self._leaves if finding is not None}

    def mark(self, document: Document) -> Highlights:
        """The matching annotations, whole, and up to five matching sentences of the report.

        A word without a field marks nothing that the report denies or doubts.
        """
        annotations = [
            Fragment(annotation["text"], spans, annotation["origin"])
            for annotation in document["annotations"]
            if (spans := _joined(self._in_annotation(annotation)))
        ]
        report: list[Fragment] = []
        for section, text in (document["report"] or {}).items():
            written = (leaf for leaf, _ in self._leaves if _field(leaf) in ("report", section))
            places = [*_in_text(text, list(written))]
            if section in document["statements"]:
                plain = (
                    leaf
                    for leaf, finding in self._leaves
                    if finding is None and isinstance(leaf, _WORDS)
                    if leaf.field is None and leaf.origin is None
                )
                places += _in_text(document["statements"][section], list(plain))
            report += _sentences(text, _joined(places))
        return Highlights(
            tuple(annotations),
            tuple(report[:_MOST]),
            self._annotation_fragments("absent", document["absent"]),
            self._annotation_fragments("uncertain", document["uncertain"]),
        )

    def _in_annotation(self, annotation: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
        text = annotation["text"]
        texts: list[Leaf] = []
        # An annotation that a finding as a whole does not mean is not marked at all.
        known = Findings([finding_term(annotation)] if self._asked else ())
        meant = {None, *(finding for finding in self._asked if known.matching(finding))}
        for leaf, finding in self._leaves:
            if finding not in meant:
                continue
            if getattr(leaf, "origin", None) not in (None, annotation["origin"]):
                continue
            field = _field(leaf)
            if field == "composite" and _fits(leaf)(text.lower()):
                yield 0, len(text)
            elif field in LABELS:
                fits, start = _fits(leaf), 0
                for word in annotation["words"]:
                    end = start + len(word["text"])
                    if word["kind"] == field and fits(word["text"].lower()):
                        yield start, end
                    start = end + len(", ")
            elif field in (None, "annotation"):
                texts.append(leaf)
        yield from _in_text(text, texts)

    def _annotation_fragments(
        self, field: str, annotations: Sequence[Mapping[str, Any]]
    ) -> tuple[Fragment, ...]:
        """The annotations that people or the report deny, or doubt, and the query asks for."""
        asked = [_fits(leaf) for leaf, _ in self._leaves if _field(leaf) == field]
        return tuple(
            Fragment(a["text"], ((0, len(a["disease"])),), a["origin"])
            for a in annotations
            if any(fits(a["disease"].lower()) for fits in asked)
        )


_WORDS = (Word, Phrase, Prefix, Wildcard, Fuzzy)


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


def _in_text(text: str, leaves: Sequence[Leaf]) -> Iterator[tuple[int, int]]:
    """Where any of the leaves matches."""
    if not leaves:
        return
    clean = text.encode("utf-8", "replace").decode()
    stemmed = analyzer().pre_tokenize(clean).tokens
    plain = analyzer(plain=True).pre_tokenize(clean).tokens
    stems = tuple(token.text for token in stemmed)
    firsts = {(stem,) for stem in stems}
    for leaf in leaves:
        if isinstance(leaf, Word | Phrase):
            wanted = _stems(leaf.text)
            width = len(wanted)
            if wanted[:1] not in firsts:
                continue
            for start in range(len(stems) - width + 1):
                if stems[start : start + width] == wanted:
                    yield stemmed[start].char_offset_from, stemmed[start + width - 1].char_offset_to
        elif isinstance(leaf, Prefix | Wildcard | Fuzzy):
            fits = matcher(leaf, fold)
            for token in plain:
                if fits(token.text):
                    yield token.char_offset_from, token.char_offset_to


@functools.lru_cache(maxsize=4096)
def _stems(text: str) -> tuple[str, ...]:
    return tuple(analyzer().analyze(text))


def _joined(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
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
        start, end = sentence.span()
        # A phrase may run over a full stop ("no. 5"): the fragment is widened to hold it.
        if not remaining or remaining[0][0] >= end:
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
