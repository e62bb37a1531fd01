"""Findings in the free text of a report, by rules, in the words of the human annotations.

A sentence is searched for the phrases of `indexer.words.labeller_rules`; qualifiers go to the
finding they stand nearest to, and every finding is affirmed, negated or uncertain by the cues
around it. The cues have a reach that other words end, as in NegEx (Chapman et al., A simple
algorithm for identifying negated findings and diseases in discharge summaries, J Biomed Inform
34, 2001) and ConText (Harkema et al., J Biomed Inform 42, 2009); phrases and rules are our own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from indexer.annotation import NORMAL, Annotation, kind_of
from indexer.words.labeller_rules import (
    CUES,
    FINDINGS,
    NORMAL_STATEMENTS,
    QUALIFIER_PATTERNS,
    FindingRule,
)

__all__ = ["READ_SECTIONS", "Mention", "Status", "affirmed", "label"]

Status: TypeAlias = Literal["affirmed", "negated", "uncertain"]
# Indication and comparison tell of the past and of questions, not of this picture.
READ_SECTIONS = ("findings", "impression")


@dataclass(frozen=True, slots=True)
class Mention:
    """One finding where a report speaks of it.

    Parameters
    ----------
    annotation
        Finding and qualifiers, of origin ``"report"``; ``normal`` for a statement that all is well.
    status
        Whether the report says that it is there, is not there, or may be there.
    section
        ``"findings"`` or ``"impression"``.
    sentence_span
        Start and end of its sentence in the section's text, in characters.
    phrase_span
        Start and end of the words themselves, likewise.
    """

    annotation: Annotation
    status: Status
    section: str
    sentence_span: tuple[int, int]
    phrase_span: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Found:
    """A phrase in a sentence: where it stands and what it is."""

    start: int
    end: int
    rule: FindingRule


@dataclass(frozen=True, slots=True)
class _Cue:
    start: int
    end: int
    kind: str


# A phrase's first letters are left at the front, as `re` then skips to them fast.
_FINDINGS = tuple((re.compile(rf"(?:{rule.pattern})(?!\w)"), rule) for rule in FINDINGS)
_QUALIFIERS = tuple((re.compile(pattern), word) for word, pattern in QUALIFIER_PATTERNS)
_CUE = re.compile(
    "|".join(rf"(?P<{kind}>(?:(?<![\w-])|(?=[,:]))(?:{pattern})(?!\w))" for kind, pattern in CUES)
    + "|(?P<mark>[;:(])"
)
_NORMAL = re.compile(NORMAL_STATEMENTS)
# A full stop ends a sentence, but not inside a number or after a list's number or a title.
_END = re.compile(r"(?<!\bdr)(?<!\bvs)(?<!\be\.g)(?<!\bi\.e)[.!?]+(?=\s|$)|\n\s*\n|\n(?=\s*[-*\d])")
_BREAK = re.compile(r",|;|:|\b(?:and|or|with|but|without|versus|while|which|however|though)\b")
_PLACE = re.compile(r"\b(?:in|at|of|within|along|over|overlying|near|on|involving|throughout)\b")
# A verb, and then a new subject: what follows speaks of that one.
_NEXT_CLAUSE = re.compile(
    r"\b(?:is|are|was|were|has|have|remains?|shows?|seen|noted|present)\b.*(?:,|\band\b)\s*\w"
)
# Doubt about what comes along says nothing of what it comes with, and "versus" has two sides only.
_WITH = re.compile(r"\bwith\b")
_NARROW = re.compile(r"\b(?:with|and)\b")
_APART = re.compile(r"[,;:]|\b(?:and|with|but)\b")
_FARTHEST = 3
_ORDER = {"organ": 0, "location": 1, "side": 2, "severity": 4, "other": 3}


def label(sections: Mapping[str, str]) -> tuple[Mention, ...]:
    """Everything that a report's findings and impression say of known findings.

    Parameters
    ----------
    sections
        Text by section, as `indexer.archive.reports.Report` has it; other sections are not read.
    """
    return tuple(
        mention
        for section in READ_SECTIONS
        for start, end in _sentences(sections.get(section, ""))
        for mention in _read(sections[section], section, start, end)
    )


def affirmed(mentions: Iterable[Mention]) -> tuple[Annotation, ...]:
    """What is affirmed, each finding once; ``normal`` alone where a report affirms nothing else.

    A finding with fewer words than another one of its name is left out. A report that was read
    but says nothing known, or that has only doubts, has no annotation.
    """
    seen = list(mentions)
    said = {m.annotation: None for m in seen if m.status == "affirmed"}
    findings = [a for a in said if a.disease != NORMAL]
    if not findings:
        certain = seen and all(m.status != "uncertain" for m in seen)
        return (Annotation.from_words("report", NORMAL, ()),) if certain else ()
    return tuple(a for a in findings if not any(_within(a, other) for other in findings))


def _within(small: Annotation, large: Annotation) -> bool:
    return small.disease == large.disease and set(small.words) < set(large.words)


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for stop in [*(m.end() for m in _END.finditer(text.lower())), len(text)]:
        inside = text[start:stop]
        if inside.strip():
            left = start + len(inside) - len(inside.lstrip())
            yield left, start + len(inside.rstrip())
        start = stop


def _read(text: str, section: str, start: int, end: int) -> Iterator[Mention]:
    # Lower case must keep every place in the text.
    lower = text[start:end].lower()
    if len(lower) != end - start:
        lower = "".join(c if len(c) == 1 else " " for c in map(str.lower, text[start:end]))
    for annotation, status, first, last in _said(lower):
        yield Mention(annotation, status, section, (start, end), (start + first, start + last))


# Reports say the same sentences over and over.
@lru_cache(maxsize=4096)
def _said(sentence: str) -> tuple[tuple[Annotation, Status, int, int], ...]:
    """What a sentence says, with the places of its phrases in it."""
    found = _findings(sentence)
    if not found and (normal := _NORMAL.search(sentence)):
        said = Annotation.from_words("report", NORMAL, ())
        return ((said, "affirmed", normal.start(), normal.end()),)
    cues = _cues(sentence) if found else []
    return tuple(
        (_annotation(phrase.rule, words), _status(sentence, phrase, cues), phrase.start, phrase.end)
        for phrase, words in zip(found, _qualifiers(sentence, found), strict=True)
    )


def _findings(sentence: str) -> list[_Found]:
    every = [
        _Found(match.start(), match.end(), rule)
        for pattern, rule in _FINDINGS
        for match in pattern.finditer(sentence)
        if _starts_word(sentence, match.start())
    ]
    every.sort(key=lambda f: f.start - f.end)
    kept: list[_Found] = []
    for phrase in every:
        if all(phrase.end <= other.start or other.end <= phrase.start for other in kept):
            kept.append(phrase)
    return sorted(kept, key=lambda f: f.start)


def _starts_word(sentence: str, place: int) -> bool:
    before = sentence[place - 1] if place else " "
    return not (before.isalnum() or before in "-_")


def _cues(sentence: str) -> list[_Cue]:
    found: list[_Cue] = []
    for match in _CUE.finditer(sentence):
        kind = match.lastgroup or ""
        if kind == "weak_stop" and " or " in sentence[match.end() :]:
            continue
        if kind == "mark":
            kind = "stop"
        found.append(_Cue(match.start(), match.end(), kind))
    return found


def _status(sentence: str, phrase: _Found, cues: Sequence[_Cue]) -> Status:
    inside = [c for c in cues if phrase.start <= c.start < phrase.end]
    if any(c.kind in ("negated_before", "negated_after") for c in inside):
        return "negated"
    after = _after(sentence, phrase, cues)
    if after:
        return after
    doubt: _Cue | None = None
    for cue in reversed([c for c in cues if c.end <= phrase.start]):
        if cue.kind in ("stop", "weak_stop"):
            break
        if cue.kind == "negated_before":
            # "No opacity to suggest pneumonia": the doubt itself is denied.
            if doubt is None or not _APART.search(sentence[cue.end : doubt.start]):
                return "negated"
            break
        if doubt is None and cue.kind in ("uncertain_before", "uncertain_around"):
            doubt = cue
    return "uncertain" if doubt else "affirmed"


def _after(sentence: str, phrase: _Found, cues: Sequence[_Cue]) -> Status | None:
    for cue in (c for c in cues if c.start >= phrase.end):
        if cue.kind in ("stop", "negated_before", "uncertain_before"):
            return None
        if cue.kind in ("uncertain_after", "uncertain_around", "negated_after"):
            between = sentence[phrase.end : cue.start]
            parts = between.split(",")
            # Commas are crossed only inside a list, which its last part tells by "and" or "or".
            if len(parts) > 1 and not re.search(r"\b(?:and|or)\b|^\s*$", parts[-1]):
                return None
            normal = sentence.startswith("within", cue.start)
            narrow = _NARROW if normal or cue.kind == "uncertain_around" else _WITH
            if _NEXT_CLAUSE.search(between) or (
                (normal or cue.kind != "negated_after") and narrow.search(between)
            ):
                return None
            return "negated" if cue.kind == "negated_after" else "uncertain"
    return None


def _qualifiers(sentence: str, found: Sequence[_Found]) -> list[list[str]]:
    given: list[list[str]] = [[] for _ in found]
    if not found:
        return given
    for pattern, word in _QUALIFIERS:
        kind = kind_of(word)
        for match in pattern.finditer(sentence):
            if match.start() and sentence[match.start() - 1].isalnum():
                continue
            owner = _owner(sentence, found, match.start(), match.end())
            if owner is not None and kind in found[owner].rule.kinds:
                given[owner].append(word)
    return given


def _owner(sentence: str, found: Sequence[_Found], start: int, end: int) -> int | None:
    """Index of the finding that the word at `start` belongs to: the one fewest breaks away."""
    before: int | None = None
    for index, phrase in enumerate(found):
        if phrase.start < end and start < phrase.end:
            return index
        if phrase.end <= start:
            before = index
    after = (before + 1) if before is not None else 0
    options = []
    if before is not None:
        gap = sentence[found[before].end : start]
        options.append((len(_BREAK.findall(gap)), 0 if _PLACE.search(gap) else 2, before))
    if after < len(found):
        gap = sentence[end : found[after].start]
        options.append((len(_BREAK.findall(gap)), 1, after))
    distance, _, owner = min(options)
    return owner if distance < _FARTHEST else None


def _annotation(rule: FindingRule, words: Sequence[str]) -> Annotation:
    said = dict.fromkeys((*rule.qualifiers, *words))
    if "left" in said and "right" in said:
        said["bilateral"] = None
    if "bilateral" in said:
        said.pop("left", None)
        said.pop("right", None)
    if rule.organ and not any(kind_of(word) == "organ" for word in said):
        said[rule.organ] = None
    ordered = sorted(said, key=lambda word: _ORDER[kind_of(word)])
    return Annotation.from_words("report", rule.disease, ordered)
