"""Highlights: which words of a document's annotations and report a query matched.

Done here rather than by a store, so that all stores mark alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from indexer.annotation import Origin
from indexer.database.documents import Document
from indexer.database.text_embedded import LABELS, analyzer
from search.results import Fragment, Highlights
from search.tree import Node, Phrase, Prefix, Value, Word, leaves

if TYPE_CHECKING:
    import tantivy

__all__ = ["Highlighter"]

_SENTENCE = re.compile(r".+?(?:[.!?]+(?=\s|$)|\n|$)", re.DOTALL)
_LONGEST = 240
_MOST = 5


@dataclass(frozen=True, slots=True)
class _Matcher:
    """One leaf of the query: what it looks for, and where."""

    stems: tuple[str, ...]
    beginning: str | None
    field: str | None
    origin: Origin | None
    value: str | None = None

    def looks_at_annotation(self, annotation: dict[str, object]) -> bool:
        if self.origin and annotation["origin"] != self.origin:
            return False
        if self.value is None:
            return self.field in (None, "annotation")
        words = annotation["words"]
        assert isinstance(words, list)
        return any(w["kind"] == self.field and w["text"].lower() == self.value for w in words)

    def looks_at_section(self, section: str) -> bool:
        if self.field is None:
            return self.origin is None
        return self.field in ("report", section)

    def spans(
        self, stems: Sequence[tantivy.Token], plain: Sequence[tantivy.Token]
    ) -> Iterator[tuple[int, int]]:
        if self.beginning is not None:
            for token in plain:
                if token.text.startswith(self.beginning):
                    yield token.char_offset_from, token.char_offset_to
        elif self.stems:
            texts = [token.text for token in stems]
            width = len(self.stems)
            for start in range(len(texts) - width + 1):
                if tuple(texts[start : start + width]) == self.stems:
                    yield stems[start].char_offset_from, stems[start + width - 1].char_offset_to


class Highlighter:
    """Marks what a query matched.

    Parameters
    ----------
    query
        The tree, after `search.tree.narrow`. Leaves under NOT mark nothing.
    """

    def __init__(self, query: Node) -> None:
        self._matchers: list[_Matcher] = []
        for leaf in dict.fromkeys(leaves(query, positive=True)):
            match leaf:
                case Word(text, field, origin) | Phrase(text, field, origin):
                    stems = tuple(analyzer().analyze(text))
                    self._matchers.append(_Matcher(stems, None, field, origin))
                case Prefix(text, field, origin) if field not in LABELS:
                    folded = "".join(analyzer(plain=True).analyze(text))
                    self._matchers.append(_Matcher((), folded, field, origin))
                case Value(field, value, origin) if field in LABELS:
                    stems = tuple(analyzer().analyze(value))
                    self._matchers.append(_Matcher(stems, None, field, origin, value))

    def mark(self, document: Document) -> Highlights:
        """The matching annotations, whole, and up to five matching sentences of the report."""
        annotations = []
        for annotation in document["annotations"]:
            chosen = [m for m in self._matchers if m.looks_at_annotation(annotation)]
            if spans := _spans(annotation["text"], chosen):
                annotations.append(Fragment(annotation["text"], spans))
        report: list[Fragment] = []
        for section, text in (document["report"] or {}).items():
            chosen = [m for m in self._matchers if m.looks_at_section(section)]
            report += _sentences(text, _spans(text, chosen))
        return Highlights(tuple(annotations), tuple(report[:_MOST]))


def _spans(text: str, matchers: Sequence[_Matcher]) -> tuple[tuple[int, int], ...]:
    """Where any of the matchers matches, in order, overlaps joined."""
    if not matchers:
        return ()
    clean = text.encode("utf-8", "replace").decode()
    stems = analyzer().pre_tokenize(clean).tokens
    plain = analyzer(plain=True).pre_tokenize(clean).tokens
    return _joined(span for matcher in matchers for span in matcher.spans(stems, plain))


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
