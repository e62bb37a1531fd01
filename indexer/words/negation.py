"""Whether a sentence affirms, denies or doubts what stands at a place in it.

Cues have a reach that other words end, as in NegEx (Chapman et al., A simple algorithm for
identifying negated findings and diseases in discharge summaries, J Biomed Inform 34, 2001) and
ConText (Harkema et al., J Biomed Inform 42, 2009); the cues and their rules are our own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from indexer.words.cues import CUES

__all__ = ["AssertionStatus", "Cue", "cues", "status"]

AssertionStatus: TypeAlias = Literal["affirmed", "negated", "uncertain"]


@dataclass(frozen=True, slots=True)
class Cue:
    """Words that deny or doubt, or end the reach of such.

    Parameters
    ----------
    start, end
        Its place in the sentence, in characters.
    kind
        A kind of `CUES`.
    """

    start: int
    end: int
    kind: str


_CUE = re.compile(
    "|".join(rf"(?P<{kind}>(?:(?<![\w-])|(?=[,:?]))(?:{pattern})(?!\w))" for kind, pattern in CUES)
    # An abbreviation in brackets is what stands before it, and a list may go on in them.
    + r"|(?P<mark>[;:]|\((?![\w-]{2,8}\)|(?:and|or|and/or) ))"
)
# A remark is no part of the sentence around it: "the nodule (seen in May) is not seen".
_REMARK = re.compile(r"\((?![\w-]{2,8}\))[^()]*\)")
# After a verb and a new subject the words are about that subject.
_NEXT_CLAUSE = re.compile(
    r"\b(?:is|are|was|were|has|have|remains?|shows?|seen|noted|present)\b.*(?:,|\band\b)\s*\w"
)
# A doubt about an accompanying finding does not concern the one that it accompanies.
_ACCOMPANIED = re.compile(r"\bwith\b")
_ENDS_DOUBT = re.compile(r"\b(?:with|and)\b")
# "Free of pneumothorax and bilateral effusions" denies both, unless a verb begins a clause.
_OF_ALL = re.compile(
    r"\b(?:(?:free|clear) (?:of|from)|neg(?:ative)? for|(?:absence|lack) of|devoid of|without)"
    r"(?! (?:and|with)\b)[^;:]*$"
)
_JOINED = re.compile(
    r"(?:, )?and (?:bilateral|left|right|definite|multiple|large)\b"
    r"(?![^,;]*\b(?:is|are|was|were|has|have|had|remains?|persists?|shows?|seen|noted|present|unchanged|stable|again|which|there)\b)"
)
_SEPARATED = re.compile(r"[,;:]|\b(?:and|with|but)\b")
# A question doubts what it is about: all of it, or what follows its last comma.
_ASKS = re.compile(r"\W*(?:is|are|was|were|any|do|does|did|has|have|can|could|which|what)\b")
_LIST_ENDS = re.compile(r"\b(?:and|or)\b|^\s*$")


def cues(sentence: str) -> tuple[Cue, ...]:
    """The cues of a sentence in lower case, in order."""
    found: list[Cue] = []
    last_or = sentence.rfind(" or ")
    for match in _CUE.finditer(sentence):
        kind = match.lastgroup or ""
        if kind == "weak_stop" and (
            last_or >= match.end()
            or (
                _JOINED.match(sentence, match.start()) and _OF_ALL.search(sentence[: match.start()])
            )
        ):
            continue
        found.append(Cue(match.start(), match.end(), "stop" if kind == "mark" else kind))
    return tuple(found)


def status(sentence: str, start: int, end: int, found: Sequence[Cue]) -> AssertionStatus:
    """What a sentence says of the words from `start` to `end`.

    Parameters
    ----------
    sentence
        In lower case.
    start, end
        In characters.
    found
        `cues` of the sentence.
    """
    if any(start <= c.start < end and c.kind.startswith("negated") for c in found):
        return "negated"
    for remark in _REMARK.finditer(sentence):
        first, last = remark.span()
        inside = [c for c in found if first <= c.start < last]
        if (last <= start or end <= first) and inside and inside[0].kind != "negated_after":
            sentence = sentence[:first] + " " * (last - first) + sentence[last:]
            found = [c for c in found if c not in inside]
    after = _after(sentence, end, found)
    if after:
        return after
    doubt = linked = None
    for cue in reversed([c for c in found if c.end <= start]):
        if cue.kind in ("stop", "weak_stop"):
            break
        if cue.kind == "link":
            linked = cue
        elif cue.kind == "negated_before":
            # "No opacity to suggest pneumonia": the doubt itself is denied.
            between = doubt or linked
            if between is None or not _SEPARATED.search(sentence[cue.end : between.start]):
                return "negated"
            break
        elif cue.kind == "uncertain_before" and doubt is None and linked is None:
            doubt = cue
    return "uncertain" if doubt or _is_asked(sentence, end) else "affirmed"


def _is_asked(sentence: str, end: int) -> bool:
    if not sentence.rstrip().endswith("?"):
        return False
    return _ASKS.match(sentence) is not None or not re.search("[,;:]", sentence[end:])


def _after(sentence: str, end: int, found: Sequence[Cue]) -> AssertionStatus | None:
    for cue in (c for c in found if c.start >= end):
        if cue.kind in ("stop", "negated_before", "uncertain_before"):
            return None
        if cue.kind in ("uncertain_after", "negated_after"):
            between = sentence[end : cue.start]
            parts = between.split(",")
            # Commas are crossed only inside a list, which its last part tells by "and" or "or".
            if len(parts) > 1 and not _LIST_ENDS.search(parts[-1]):
                return None
            normal = sentence.startswith("within", cue.start)
            narrow = _ENDS_DOUBT if normal else _ACCOMPANIED
            if _NEXT_CLAUSE.search(between) or (
                (normal or cue.kind != "negated_after") and narrow.search(between)
            ):
                return None
            return "negated" if cue.kind == "negated_after" else "uncertain"
    return None
