"""Findings in the free text of a report, by rules, in the words of the human annotations.

A sentence is searched for the phrases of `indexer.words.labeller_rules`; qualifiers go to the
finding they stand nearest to, and every finding is affirmed, negated or uncertain by the cues
around it (`indexer.words.negation`). What is not English is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from indexer.annotation import NORMAL, Annotation, word_kind
from indexer.words import negation
from indexer.words.cues import NORMAL_STATEMENTS, PART_OF_ANOTHER_EXAM, PART_OF_THE_REPORT
from indexer.words.labeller_rules import FINDINGS, QUALIFIER_PATTERNS, FindingRule
from indexer.words.language import denies, is_english, is_english_report
from indexer.words.negation import AssertionStatus

__all__ = [
    "MAX_CHARACTERS",
    "READ_SECTIONS",
    "AssertionStatus",
    "Mention",
    "affirmed",
    "label",
    "statements",
]

# Indication and comparison tell of the past and of questions, not of this picture.
READ_SECTIONS = ("findings", "impression")
#: At most this many characters of a section are read: a report has some hundreds.
MAX_CHARACTERS = 100_000
# Longer sentences, such as lists without full stops, are read in pieces.
_LONGEST_SENTENCE = 1_000


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
    status: AssertionStatus
    section: str
    sentence_span: tuple[int, int]
    phrase_span: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Found:
    """A phrase in a sentence: where it stands and what it is."""

    start: int
    end: int
    rule: FindingRule


# A phrase's first letters are left at the front, as `re` then skips to them fast.
_FINDINGS = tuple((re.compile(rf"(?:{rule.pattern})(?!\w)"), rule) for rule in FINDINGS)
_QUALIFIERS = tuple((re.compile(pattern), word) for word, pattern in QUALIFIER_PATTERNS)
_NORMAL = re.compile(NORMAL_STATEMENTS)
_ELSEWHERE = re.compile(PART_OF_ANOTHER_EXAM)
_HEADING = re.compile(PART_OF_THE_REPORT)
# A full stop ends a sentence, but not inside a number or after a list's number or a title.
# A question is one sentence with its answer, where that is a word.
_END = re.compile(
    r"(?<!\bdr)(?<!\bvs)(?<!\be\.g)(?<!\bi\.e)[.!?]+(?=\s|$)"
    r"(?!(?<=\?) (?:none|no|nil|absent|neg(?:ative)?)(?=[.;,]|\s*$))"
    r"|\n\s*\n|\n(?=\s*[-*\d])"
)
_BREAK = re.compile(r",|;|:|\b(?:and|or|with|but|without|versus|while|which|however|though)\b")
_PLACE = re.compile(r"\b(?:in|at|of|within|along|over|overlying|near|on|involving|throughout)\b")
_WORD = re.compile(r"\w+")
_MAX_BREAKS = 3
# Findings side by side have their place in common: "left basal atelectasis or infiltrate".
_ABREAST = re.compile(r"\s*(?:/|(?:,\s*)?(?:and/or|and|or)\s)\s*")
_PLACES = ("organ", "location", "side")
_ORDER = {"organ": 0, "location": 1, "side": 2, "severity": 4, "other": 3}


def label(sections: Mapping[str, str]) -> tuple[Mention, ...]:
    """Everything that a report's findings and impression say of known findings.

    Nothing is read of a report in another language than English, nor of such a sentence, nor of a
    part that is headed as another examination ("Left knee:").

    Parameters
    ----------
    sections
        Text by section, as `indexer.archive.reports.Report` has it; other sections are not read.
    """
    return tuple(
        mention
        for section in (READ_SECTIONS if _readable(sections) else ())
        for start, end in _of_the_chest(sections.get(section, ""))
        for mention in _read(sections[section], section, start, end)
    )


def statements(sections: Mapping[str, str]) -> dict[str, str]:
    """The sections that are read, all that they deny or doubt made spaces, so that places stay.

    Words that are denied are blanked whether or not they name a known finding; of what is doubted
    the known findings are. Sentences in another language are kept where they have no word that
    denies; what is longer than `MAX_CHARACTERS` is cut off.

    Parameters
    ----------
    sections
        Text by section, as `indexer.archive.reports.Report` has it.
    """
    readable = _readable(sections)
    found: dict[str, str] = {}
    for section in READ_SECTIONS:
        if section not in sections:
            continue
        text, parts, last = sections[section], list[str](), 0
        for start, end in _sentences(text):
            sentence = _lower(text[start:end])
            if readable and is_english(sentence):
                spans: Sequence[tuple[int, int]] = _unaffirmed(sentence)
            else:
                spans = ((0, end - start),) if denies(sentence) else ()
            for first, stop in spans:
                parts += (text[last : start + first], " " * (stop - first))
                last = start + stop
        found[section] = "".join((*parts, text[last:MAX_CHARACTERS]))
    return found


def _readable(sections: Mapping[str, str]) -> bool:
    return is_english_report(" ".join(text[:MAX_CHARACTERS] for text in sections.values()))


def affirmed(mentions: Iterable[Mention]) -> tuple[Annotation, ...]:
    """What is affirmed, each finding once; ``normal`` alone where a report affirms nothing else.

    A finding with fewer words than another one of its name is left out. A report that was read
    but says nothing known, or that has only doubts, has no annotation.
    """
    seen = list(mentions)
    distinct = {m.annotation: None for m in seen if m.status == "affirmed"}
    findings = [a for a in distinct if a.disease != NORMAL]
    if not findings:
        certain = seen and all(m.status != "uncertain" for m in seen)
        return (Annotation.from_words("report", NORMAL, ()),) if certain else ()
    return tuple(a for a in findings if not any(_within(a, other) for other in findings))


def _within(small: Annotation, large: Annotation) -> bool:
    return small.disease == large.disease and set(small.words) < set(large.words)


# A report is gone through twice: for its findings, and for what it denies.
@lru_cache(maxsize=16)
def _sentences(text: str) -> tuple[tuple[int, int], ...]:
    """Places of the sentences of `text`, up to `MAX_CHARACTERS`."""
    return tuple(_find_sentences(text))


def _find_sentences(text: str) -> Iterator[tuple[int, int]]:
    text = text[:MAX_CHARACTERS]
    start = 0
    for stop in [*(m.end() for m in _END.finditer(_lower(text))), len(text)]:
        while start < stop:
            end = stop
            if stop - start > _LONGEST_SENTENCE:
                end = text.rfind(" ", start + 1, start + _LONGEST_SENTENCE) + 1
                end = end or start + _LONGEST_SENTENCE
            inside = text[start:end]
            if inside.strip():
                left = start + len(inside) - len(inside.lstrip())
                yield left, start + len(inside.rstrip())
            start = end


def _of_the_chest(text: str) -> Iterator[tuple[int, int]]:
    """Places of the sentences that are not under the heading of another examination."""
    elsewhere = False
    for start, end in _sentences(text):
        sentence = _lower(text[start:end])
        if _ELSEWHERE.match(sentence):
            elsewhere = True
        elif _HEADING.match(sentence):
            elsewhere = False
        if not elsewhere:
            yield start, end


def _lower(text: str) -> str:
    """In lower case, every letter in its place."""
    lower = text.lower()
    if len(lower) != len(text):
        lower = "".join(c if len(c) == 1 else " " for c in map(str.lower, text))
    return lower


def _read(text: str, section: str, start: int, end: int) -> Iterator[Mention]:
    for annotation, status, first, last in _sentence_statements(_lower(text[start:end])):
        yield Mention(annotation, status, section, (start, end), (start + first, start + last))


# The same sentences stand in many reports.
@lru_cache(maxsize=4096)
def _sentence_statements(sentence: str) -> tuple[tuple[Annotation, AssertionStatus, int, int], ...]:
    """What a sentence says, with the places of its phrases in it."""
    if not is_english(sentence):
        return ()
    found = _findings(sentence)
    if not found and (normal := _NORMAL.search(sentence)):
        annotation = Annotation.from_words("report", NORMAL, ())
        return ((annotation, "affirmed", normal.start(), normal.end()),)
    cues = negation.cues(sentence) if found else ()
    return tuple(
        (
            _annotation(phrase.rule, words),
            negation.status(sentence, phrase.start, phrase.end, cues),
            phrase.start,
            phrase.end,
        )
        for phrase, words in zip(found, _qualifiers(sentence, found), strict=True)
    )


@lru_cache(maxsize=4096)
def _unaffirmed(sentence: str) -> tuple[tuple[int, int], ...]:
    """Places of all that a sentence denies, and of the findings that it doubts."""
    statements = _sentence_statements(sentence)
    spans = {(first, last) for _, status, first, last in statements if status != "affirmed"}
    # "No acute disease" affirms that all is well, and denies a disease.
    kept = [
        (first, last)
        for annotation, status, first, last in statements
        if status == "affirmed" and annotation.disease != NORMAL
    ]
    cues = negation.cues(sentence)
    if any(cue.kind.startswith("negated") for cue in cues):
        kept += [(cue.start, cue.end) for cue in cues]
        for word in _WORD.finditer(sentence):
            start, end = word.span()
            if (
                not any(start < last and first < end for first, last in kept)
                and negation.status(sentence, start, end, cues) == "negated"
            ):
                spans.add((start, end))
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


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
        if all(
            phrase.end <= other.start
            or other.end <= phrase.start
            # One phrase may say two findings, such as wear of the thoracolumbar spine.
            or phrase.rule.pattern == other.rule.pattern
            for other in kept
        ):
            kept.append(phrase)
    return sorted(kept, key=lambda f: f.start)


def _starts_word(sentence: str, place: int) -> bool:
    before = sentence[place - 1] if place else " "
    # "Non calcified" is the opposite, as "non-calcified" and "noncalcified" are.
    non = sentence.endswith(" non ", 0, place) or (place == 4 and sentence.startswith("non "))
    return not (before.isalnum() or before in "-_" or non)


def _qualifiers(sentence: str, found: Sequence[_Found]) -> list[list[str]]:
    given: list[list[str]] = [[] for _ in found]
    if not found:
        return given
    for pattern, word in _QUALIFIERS:
        kind = word_kind(word)
        for match in pattern.finditer(sentence):
            if match.start() and sentence[match.start() - 1].isalnum():
                continue
            owner = _owner(sentence, found, match.start(), match.end())
            if owner is not None and kind in found[owner].rule.kinds:
                given[owner].append(word)
    _share_places(sentence, found, given)
    return given


def _share_places(sentence: str, found: Sequence[_Found], given: Sequence[list[str]]) -> None:
    """Give a finding without a place that of the one that it stands abreast of."""
    for place in range(1, len(found)):
        if not _ABREAST.fullmatch(sentence, found[place - 1].end, found[place].start):
            continue
        for giver, taker in ((place - 1, place), (place, place - 1)):
            rule = found[taker].rule
            if word_kind(found[giver].rule.disease) in _PLACES or any(
                word_kind(word) in _PLACES for word in (*rule.qualifiers, *given[taker])
            ):
                continue
            # What has an organ of its own shares no other.
            kinds = {*_PLACES[bool(rule.organ) :]}.intersection(rule.kinds)
            given[taker] += [word for word in given[giver] if word_kind(word) in kinds]


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
    return owner if distance < _MAX_BREAKS else None


def _annotation(rule: FindingRule, words: Sequence[str]) -> Annotation:
    described = dict.fromkeys((*rule.qualifiers, *words))
    # A place may be a heading of its own, and is then no qualifier of itself.
    described.pop(rule.disease, None)
    if "left" in described and "right" in described:
        described["bilateral"] = None
    if "bilateral" in described:
        described.pop("left", None)
        described.pop("right", None)
    if rule.organ and not any(word_kind(word) == "organ" for word in described):
        described[rule.organ] = None
    ordered = sorted(described, key=lambda word: _ORDER[word_kind(word)])
    return Annotation.from_words("report", rule.disease, ordered)
