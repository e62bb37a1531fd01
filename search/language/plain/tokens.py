"""A free text cut into terms of the lexicon, cues, fillers and conditions, the longest first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, TypeAlias

from indexer.annotation import NORMAL
from indexer.words.headings import Heading
from search.language.lexicon import Lexicon
from search.language.plain.conditions import FoundCondition, ReadText
from search.language.plain.cues import CUES, FILLERS, REASONS
from search.language.plain.understood import PartKind

__all__ = ["PlainToken", "TokenKind", "is_known", "is_normal", "joined", "part_kind", "tokens"]

_PIECE = re.compile(r"\x01(\d+)\x02|[^\W_]+(?:['.-][^\W_]+)*|[,;/]|\.(?=\s)")
# Most words in a form of the lexicon or in a cue.
_LONGEST = 9
# A denial by one of these goes on over AND: "free of effusion and edema".
_OF_ALL = re.compile(
    r"^(?:free|clear|negative|neg|absence|lack\w*|no signs?|no evidence|neither)\b"
)
# A denied list goes on over these, and ends at "but" and "with": "no effusion, but edema".
_GOES_ON = frozenset({"and", "as well as", "also"})
# Of the cues that deny what stands before them, those that may stand before it as well.
_ADJECTIVES = frozenset({"absent", "negative", "neg", "unlikely", "excluded"})
# Findings whose name is only a place: next to another finding the name is that finding's place.
_PLACES = {
    "lung left": "left",
    "lung right": "right",
    "lung bilateral": "bilateral",
    "lung base": "base",
    "lung apex": "apex",
    "lung hilum": "hilum",
}

TokenKind: TypeAlias = Literal[
    "term", "word", "condition", "filler", ",", ";",
    "not", "non", "not_before", "doubt", "doubt_before", "gone", "gone_before", "asked", "past",
    "or", "vs", "and", "maybe", "in",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class PlainToken:
    """A term, word, cue, filler, condition or mark of the text.

    Parameters
    ----------
    kind
        What it is; cues are named in `search.language.plain.cues.CUES`.
    wording
        As it was written.
    headings
        What a term may mean.
    found
        The condition.
    """

    kind: TokenKind
    wording: str
    headings: tuple[Heading, ...] = ()
    found: FoundCondition | None = None


def tokens(text: ReadText, lexicon: Lexicon) -> list[PlainToken]:
    """The tokens of a text, without fillers, and with commas as what they stand for."""
    found = [t for t in _cut(text.text, text.found, lexicon) if t.kind != "filler"]
    return list(_settled(found, lexicon))


@cache
def _tables() -> dict[str, tuple[TokenKind, str]]:
    """Cues and fillers by their words, with the query of a reason for an examination."""
    known: dict[str, tuple[TokenKind, str]] = dict.fromkeys(FILLERS, ("filler", ""))
    for kind, cues in CUES.items():
        known.update(dict.fromkeys(cues, (kind, "")))  # type: ignore[arg-type]
    known["non"] = ("non", "")
    for searched, further in REASONS:
        ways = [joined(words) for words in searched]
        query = f"indication:({' OR '.join(ways)})" if len(ways) > 1 else f"indication:{ways[0]}"
        known.update(
            dict.fromkeys([w.lower() for w in (*searched, *further)], ("condition", query))
        )
    known.update({",": (",", ""), ";": (";", ""), ".": (";", ""), "/": ("vs", "")})
    return known


def _cut(text: str, found: Sequence[FoundCondition], lexicon: Lexicon) -> Iterator[PlainToken]:
    pieces = list(_PIECE.finditer(text))
    start, negated = 0, False
    while start < len(pieces):
        if (number := pieces[start][1]) is not None:
            condition = found[int(number)]
            if condition.kind != "left out" and condition.query != "*":
                yield PlainToken("condition", condition.wording, found=condition)
            start += 1
            continue
        # "non calcified nodule" is no calcified nodule.
        end = start + 1 if negated else _run(pieces, start)
        negated = pieces[start][0].lower() == "non"
        for stop in range(end, start, -1):
            words = [piece[0] for piece in pieces[start:stop]]
            wording = " ".join(words)
            cue = _tables().get(wording.lower().replace("-", " ")) or _tables().get(wording.lower())
            if headings := lexicon.senses(wording):
                yield PlainToken("term", wording, headings)
            elif cue is not None and cue[0] == "condition":
                yield PlainToken(
                    "condition", wording, found=FoundCondition("indication", cue[1], wording)
                )
            elif cue is not None:
                yield PlainToken(cue[0], wording)
            elif stop == start + 1:
                yield _number(wording) if wording.isdigit() else PlainToken("word", wording)
            else:
                continue
            start = stop
            break


def _run(pieces: Sequence[re.Match[str]], start: int) -> int:
    """Where the words that may be one term end."""
    end = start + 1
    if not pieces[start][0][0].isalnum():
        return end
    while end < min(len(pieces), start + _LONGEST) and pieces[end][0][0].isalnum():
        end += 1
    return end


def _number(wording: str) -> PlainToken:
    return PlainToken(
        "condition",
        wording,
        found=FoundCondition("left out", "a number alone says nothing", wording),
    )


def _settled(found: Sequence[PlainToken], lexicon: Lexicon) -> Iterator[PlainToken]:
    """Normal organs are denied findings of them, and a comma is what the end of its list says."""
    heads = sum(1 for token in found if token.kind == "term" and part_kind(token) == "head")
    lists, run_on = _lists(found), _run_on(found)
    for place, token in enumerate(found):
        following = found[place + 1] if place + 1 < len(found) else None
        if place in run_on:
            yield PlainToken("or", "")
        names = [heading.name for heading in token.headings]
        next_kind = part_kind(following) if following is not None else None
        if is_normal(token) and next_kind in ("organ", "location"):
            yield replace(token, kind="not", headings=())
        elif (
            heads > 1
            and len(names) == 1
            and names[0] in _PLACES
            and "lung" in token.wording.lower()
        ):
            place_name = _PLACES[names[0]]
            yield replace(token, wording=place_name, headings=(lexicon.headings[place_name],))
        elif token.kind == "not_before" and _is_of_next(found, place):
            yield replace(token, kind="not")
        elif place in lists:
            yield replace(token, kind="or")
        else:
            yield replace(token, kind="and") if token.kind == "," else token


def _lists(found: Sequence[PlainToken]) -> set[int]:
    """The commas and ANDs that stand for OR.

    They do in a list that ends in OR, and in one that is denied as a whole: by its commas, or by a
    denial of all that follows.
    """
    marks: set[int] = set()
    run: list[int] = []
    denied = commas = False
    for place, token in enumerate(found):
        if token.kind == "or":
            marks.update(run)
        elif token.kind == "vs":
            # "Opacity, edema vs pneumonia" is an opacity.
            run = []
        elif token.kind == "," or (
            token.kind == "and" and denied and commas and token.wording.lower() in _GOES_ON
        ):
            run.append(place)
            commas = True
            if token.kind == "and":
                marks.update(run)
        elif token.kind not in ("term", "word", "in"):
            run, commas = [], False
            denied = token.kind == "not"
            commas = denied and _OF_ALL.match(token.wording.lower()) is not None
    return marks


def _run_on(found: Sequence[PlainToken]) -> set[int]:
    """Where a finding of a denied list begins without a comma before it, in a list that ends in OR:
    "no consolidation pleural effusion or pneumothorax"."""
    marks: set[int] = set()
    begun: list[int] = []
    denied = last_is_finding = False
    for place, token in enumerate(found):
        if token.kind in ("term", "word"):
            is_finding = token.kind == "term" and part_kind(token) == "head"
            if is_finding and last_is_finding and denied:
                begun.append(place)
            last_is_finding = is_finding or (last_is_finding and token.kind == "word")
        else:
            if token.kind == "or" and last_is_finding:
                marks.update(begun)
            if token.kind not in (",", "or"):
                denied = token.kind == "not"
            begun, last_is_finding = [], False
    return marks


def _is_of_next(found: Sequence[PlainToken], place: int) -> bool:
    """Whether an adjective that denies speaks of what follows: "effusion, absent edema"."""
    word = found[place].wording.lower()
    if word not in _ADJECTIVES or place + 1 == len(found):
        return False
    begins = not place or found[place - 1].kind not in ("term", "word", "condition")
    follows = found[place + 1].kind in ("term", "word", "condition")
    return follows and (begins or word == "absent")


@cache
def _whole_words(lexicon: Lexicon) -> frozenset[str]:
    forms = (*lexicon.forms, *_tables())
    return frozenset(word for form in forms for word in form.lower().split())


def is_known(word: str, lexicon: Lexicon) -> bool:
    """Whether a word is written in full: one of a term, a cue or a filler; in lower case."""
    return not _whole_words(lexicon).isdisjoint((word, word.removesuffix("s")))


def is_normal(token: PlainToken) -> bool:
    return any(heading.name == NORMAL for heading in token.headings)


def part_kind(token: PlainToken) -> PartKind:
    """What a term or word says."""
    if not token.headings:
        return "word"
    kind = token.headings[0].kinds[0]
    return "head" if kind == "disease" else kind


def joined(words: str) -> str:
    return "-".join(words.split())
