"""What a free text was understood to ask for: parts that can be written as a query, and given up.

A part is what one term of the text says. Parts of one phrase ("small left effusion") belong to one
finding; phrases are joined by OR or AND. Where nothing matches all of it, `Understood.relaxed`
gives looser queries, the least loss first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Literal, TypeAlias

__all__ = ["Clause", "Doubt", "PartKind", "PlainPhrase", "QueryPart", "Understood"]

PartKind: TypeAlias = Literal[
    "head", "organ", "location", "side", "severity", "other", "word",
    "age", "sex", "year", "view", "indication",
]  # fmt: skip
Doubt: TypeAlias = Literal["", "doubt", "asked", "past", "gone"]

#: The order in which parts are given up when nothing matches everything.
_RELAX_ORDER: tuple[PartKind, ...] = (
    "severity", "word", "other", "view", "year", "indication", "side", "location", "organ", "age",
    "sex", "head",
)  # fmt: skip
#: At most this many looser queries are tried.
MAX_RELAXED = 40


@dataclass(frozen=True, slots=True)
class QueryPart:
    """What one term says.

    Parameters
    ----------
    number
        Its place among the parts, from 0.
    kind
        ``"head"``: a finding, or something else that stands for itself; ``"word"``: a word that the
        lexicon does not know; else what it says of a finding or of the image.
    query
        The part in the query language.
    wording
        As it was written.
    headings
        The diseases it may mean.
    words
        The part as words of the text, where `query` is more than that.
    """

    number: int
    kind: PartKind
    query: str
    wording: str
    headings: tuple[str, ...] = ()
    words: str | None = None

    @property
    def alone(self) -> str:
        """In the query language, where it is not said of a finding."""
        return self.words or self.query if self.kind == "location" else self.query


@dataclass(frozen=True, slots=True)
class PlainPhrase:
    """Parts that speak of one thing.

    Parameters
    ----------
    heads
        What it is; any of them.
    qualifiers
        What is said of it; of each, any of several.
    negated
        Whether it must not be there.
    doubt
        ``"doubt"``: a report doubts it; ``"asked"``: a report doubts it, or was asked for it;
        ``"past"``: it may be known from before; ``"gone"``: a report says that it is not there.
    """

    heads: tuple[QueryPart, ...] = ()
    qualifiers: tuple[tuple[QueryPart, ...], ...] = ()
    negated: bool = False
    doubt: Doubt = ""

    @property
    def parts(self) -> tuple[QueryPart, ...]:
        """All of them, in order."""
        return (*self.heads, *(part for any_of in self.qualifiers for part in any_of))

    @property
    def names_a_finding(self) -> bool:
        """Whether it is of a finding that a person or the cascade may name, and asserts it."""
        return not self.doubt and any(part.headings for part in self.heads)

    def kept(self, given_up: frozenset[int]) -> PlainPhrase | None:
        """What is left of it without some parts; None where that is nothing."""
        heads = tuple(p for p in self.heads if p.number not in given_up)
        groups = (
            tuple(p for p in any_of if p.number not in given_up) for any_of in self.qualifiers
        )
        qualifiers = tuple(any_of for any_of in groups if any_of)
        if not heads and not qualifiers:
            return None
        return replace(self, heads=heads, qualifiers=qualifiers)

    def written(self, *, loose: bool = False, likely: bool = False) -> str:
        """In the query language, without NOT.

        Parameters
        ----------
        loose
            As words that may stand anywhere.
        likely
            Only as a finding that is likely; for what `names_a_finding`.
        """
        if self.doubt:
            return self._doubted()
        groups = [any_of for any_of in (self.heads, *self.qualifiers) if any_of]
        inside = [any_of for any_of in groups if any_of[0].kind != "word"]
        outside = [any_of for any_of in groups if any_of[0].kind == "word"]
        if loose:
            return _all(_any(p.words or p.query for p in any_of) for any_of in groups)
        if len(inside) < 2 and not likely:
            return _all(_any(p.alone for p in any_of) for any_of in groups)
        said = [_any(p.query for p in any_of) for any_of in inside]
        finding = _all([*said, "certainty:likely"] if likely else said)
        return _all(
            [f"finding:({finding})", *(_any(p.query for p in any_of) for any_of in outside)]
        )

    def _doubted(self) -> str:
        words = _all(
            _any(p.words or p.query for p in any_of)
            for any_of in (self.heads, *self.qualifiers)
            if any_of
        )
        asked = words if words.isalnum() or " " not in words else f"({words})"
        if self.doubt == "past":
            plain = replace(self, doubt="").written()
            return _any([plain if " AND " not in plain else f"({plain})", f"indication:{asked}"])
        if self.doubt == "gone":
            gone = [f"absent:{_quoted(name)}" for part in self.heads for name in part.headings]
            return _any(
                gone or [f"({words}) AND resolved" if " " in words else f"{words} AND resolved"]
            )
        named = [f"uncertain:{_quoted(name)}" for part in self.heads for name in part.headings]
        if not named:
            return f"indication:{asked}" if self.doubt == "asked" else words
        return _any([*named, f"indication:{asked}"] if self.doubt == "asked" else named)


@dataclass(frozen=True, slots=True)
class Clause:
    """Phrases or conditions that are alternatives: any must hold."""

    any_of: tuple[PlainPhrase | QueryPart, ...]

    @property
    def parts(self) -> tuple[QueryPart, ...]:
        """All of them, in order."""
        found: list[QueryPart] = []
        for one in self.any_of:
            found += one.parts if isinstance(one, PlainPhrase) else (one,)
        return tuple(found)

    def written(
        self, given_up: frozenset[int] = frozenset(), *, loose: bool = False, likely: bool = False
    ) -> str:
        """In the query language; empty where nothing is left of it.

        With `likely` a denial leaves out only what is likely.
        """
        ways: list[tuple[bool, str]] = []
        for one in self.any_of:
            if isinstance(one, QueryPart):
                ways += [] if one.number in given_up else [(False, one.query)]
            elif (kept := one.kept(given_up)) is not None:
                text = kept.written(
                    loose=loose and not kept.negated,
                    likely=likely and kept.negated and kept.names_a_finding,
                )
                ways.append((kept.negated, text))
        if ways and all(negated for negated, _ in ways):
            return f"NOT {_grouped(_any(_grouped(text) for _, text in ways))}"
        return _any(f"NOT {_grouped(text)}" if negated else text for negated, text in ways)


@dataclass(frozen=True, slots=True)
class Understood:
    """How a free text was read.

    Parameters
    ----------
    text
        As it was written.
    clauses
        What must all hold.
    left_out
        What was written and cannot be judged, with the reason.
    """

    text: str
    clauses: tuple[Clause, ...]
    left_out: tuple[tuple[str, str], ...] = field(default=())

    @property
    def query(self) -> str:
        """The whole in the query language."""
        return self._written(frozenset())

    @property
    def is_relaxable(self) -> bool:
        """Whether there is more than one thing to give up."""
        return len(self._may_go()) > 1

    def relaxed(self) -> Iterator[tuple[str, str]]:
        """Looser queries, each with what it gives up; the least loss first.

        First denials leave out only what is likely. Then findings become words that may stand
        anywhere, then parts are given up one by one and two by two, then all but one. One part that
        is no negation always stays.
        """
        seen = {self.query}
        # What the cascade calls no more than possible is no reason to leave an image out.
        sure = self._written(frozenset(), likely=True)
        if sure not in seen:
            seen.add(sure)
            yield sure, "what is denied is left out only where it is likely"
        parts = self._may_go()
        singly = [frozenset({part.number}) for part in parts]
        doubly = [frozenset({a.number, b.number}) for a, b in combinations(parts, 2)]
        some = frozenset(p.number for p in parts if p.kind not in ("head", "sex", "age"))
        many = [
            some,
            *(frozenset(p.number for p in parts if p is not kept) for kept in reversed(parts)),
        ]
        tried = 0
        for given_up, loose in [
            (frozenset[int](), True),
            *((one, False) for one in singly),
            *((one, True) for one in singly),
            *((two, False) for two in doubly),
            *((two, True) for two in doubly),
            *((more, True) for more in many),
        ]:
            query = self._written(given_up, loose=loose)
            if not query or query in seen or not self._has_positive(given_up):
                continue
            seen.add(query)
            tried += 1
            if tried > MAX_RELAXED:
                return
            yield query, self._loss(given_up, loose)

    # ---- parts ----------------------------------------------------------------------------------

    def _written(
        self, given_up: frozenset[int], *, loose: bool = False, likely: bool = False
    ) -> str:
        texts = [clause.written(given_up, loose=loose, likely=likely) for clause in self.clauses]
        kept = list(dict.fromkeys(text for text in texts if text))
        if len(kept) == 1:
            return kept[0]
        return " AND ".join(f"({text})" if _has_or(text) else text for text in kept)

    def _may_go(self) -> list[QueryPart]:
        parts = {part.number: part for clause in self.clauses for part in clause.parts}
        return sorted(parts.values(), key=lambda p: (_RELAX_ORDER.index(p.kind), -p.number))

    def _has_positive(self, given_up: frozenset[int]) -> bool:
        """Whether anything stays that is neither denied nor a mere condition, if there is any."""

        def positive(without: frozenset[int]) -> bool:
            return any(
                isinstance(one, PlainPhrase) and not one.negated and one.kept(without) is not None
                for clause in self.clauses
                for one in clause.any_of
            )

        return positive(given_up) or not positive(frozenset())

    def _loss(self, given_up: frozenset[int], loose: bool) -> str:
        wordings = [
            part.wording
            for part in sorted(self._may_go(), key=lambda p: p.number)
            if part.number in given_up
        ]
        left = (
            "left out: " + ", ".join(f'"{text}"' for text in dict.fromkeys(wordings))
            if wordings
            else ""
        )
        anywhere = (
            "its words may stand anywhere, not in one finding"
            if loose and self._loosens(given_up)
            else ""
        )
        return "; ".join(filter(None, (left, anywhere)))

    def _loosens(self, given_up: frozenset[int]) -> bool:
        return self._written(given_up, loose=True) != self._written(given_up)


def _any(texts: Iterable[str]) -> str:
    ways = list(dict.fromkeys(texts))
    return (
        ways[0] if len(ways) == 1 else " OR ".join(_grouped(t) if " AND " in t else t for t in ways)
    )


def _all(texts: Iterable[str]) -> str:
    kept = list(dict.fromkeys(texts))
    return kept[0] if len(kept) == 1 else " AND ".join(f"({t})" if _has_or(t) else t for t in kept)


def _has_or(text: str) -> bool:
    """Whether an OR stands outside all parentheses."""
    depth = 0
    for word in text.split():
        if word == "OR" and depth == 0:
            return True
        depth += word.count("(") - word.count(")")
    return False


def _grouped(text: str) -> str:
    """In parentheses where something would bind differently without."""
    depth = 0
    for word in text.split():
        if depth == 0 and word in ("OR", "AND"):
            return f"({text})"
        depth += word.count("(") - word.count(")")
    return text


def _quoted(name: str) -> str:
    return name if name.isalpha() else f'"{name}"'
