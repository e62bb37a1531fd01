"""Tokens put together to phrases and clauses, from left to right.

What stands side by side belongs to one finding, and a second finding begins with its own words. A
cue of denial or doubt holds for the finding that follows, and for those joined to it by OR.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

from search.language.plain.joining import denied, is_place_or_degree, merged, qualified, shared
from search.language.plain.tokens import PlainToken, is_normal, joined, part_kind
from search.language.plain.understood import Clause, Doubt, PartKind, PlainPhrase, QueryPart

__all__ = ["Assembly"]

_DOUBTS: dict[str, Doubt] = {
    "doubt": "doubt", "asked": "asked", "past": "past", "gone": "gone", "gone_before": "gone",
    "doubt_before": "doubt",
}  # fmt: skip
# Cues that hold for what stands before them where nothing follows: "pneumothorax: none".
_CAN_END = frozenset((
    "no", "none", "nil", "not", "never", "zero", "possible", "possibly", "probable", "probably",
    "likely", "less likely", "suspected", "questionable", "equivocal", "presumed", "uncertain",
    "maybe", "rule out", "query",
))  # fmt: skip
_OPTIONAL_REASON = "it may be there or not"
_ELSE_NORMAL_REASON = "what is not normal stands beside it"
_DOUBTED_REASON = "where and how much is doubted is not known"
_GONE_REASON = "where and how much there was is not known"
# A finding that is said of another: "cavitating nodule".
_ADJECTIVE = re.compile(r"^\w+(?:ing|ed|ary|ous)$", re.IGNORECASE)


class Assembly:
    """Takes tokens one by one; `finish` gives the clauses.

    Attributes
    ----------
    left_out
        What was written and cannot be judged, with the reason.
    """

    def __init__(self) -> None:
        self.left_out: list[tuple[str, str]] = []
        self._clauses: list[Clause] = []
        self._numbers = 0
        self._join: Literal["and", "or", "vs"] = "and"
        self._negated = False
        self._doubt: Doubt = ""
        self._optional = False
        self._cue = ""
        self._begin()

    def _begin(self) -> None:
        """A new phrase."""
        self._heads: list[QueryPart] = []
        self._before: list[QueryPart] = []
        self._after: list[QueryPart] = []
        self._placed = False
        self._non = False
        self._last: PartKind | None = None

    # ---- tokens ---------------------------------------------------------------------------------

    def take(self, token: PlainToken) -> None:
        """Add one token."""
        kind = token.kind
        if kind in ("term", "word"):
            self._say(token)
        elif kind == "condition":
            self._condition(token)
        elif kind in ("or", "vs"):
            self._end()
            self._join = "or" if kind == "or" else "vs"
            # A denial or doubt goes on over "or": "no effusion or edema".
            if self._clauses and isinstance(last := self._clauses[-1].any_of[-1], PlainPhrase):
                self._negated, self._doubt = last.negated, last.doubt
        elif kind in ("and", ";"):
            self._end_thought()
        elif kind == "in":
            self._placed = bool(self._heads or self._before)
            self._last = None
        elif kind == "non":
            self._non = True
        elif kind == "maybe":
            self._end()
            self._optional = True
        elif kind == "gone_before" and self._is_open:
            self._doubt = "gone"
            self._end()
        elif kind in ("not_before", "doubt_before") and (
            self._is_open or (self._clauses and self._join == "and")
        ):
            self._say_of_before(negated=kind == "not_before")
        elif kind in ("not", "not_before"):
            fresh = self._is_open or self._join != "and"
            self._end_unless_joined()
            self._negated = True if fresh else not self._negated
            self._cue = token.wording.lower()
        else:
            self._end_unless_joined()
            self._doubt = _DOUBTS[kind]
            self._cue = token.wording.lower()

    def finish(self) -> tuple[Clause, ...]:
        """What must all hold."""
        self._end_thought()
        if any(_finds(clause) for clause in self._clauses):
            # Nothing is normal and has a finding as well: "clear lungs, cardiomegaly".
            for clause in [c for c in self._clauses if _is_well(c)]:
                self._clauses.remove(clause)
                self.left_out.append((clause.parts[0].wording, _ELSE_NORMAL_REASON))
        return tuple(self._clauses)

    # ---- words ----------------------------------------------------------------------------------

    def _say(self, token: PlainToken) -> None:
        kind = part_kind(token)
        if kind in ("location", "side") and self._denies_alone:
            self._deny_of_finding()
        if (
            kind == "head"
            and self._heads
            and self._last == "head"
            and _is_adjective(self._heads[-1])
        ):
            self._before.append(replace(self._heads.pop(), kind="other"))
        if kind == "head" and self._heads and not self._non:
            moved = [] if self._placed else self._after
            self._after = self._after[: len(self._after) - len(moved)]
            negated = self._negated
            self._end()
            self._before = moved
            self._negated = False if negated else self._negated
        part = self._part(token, kind)
        if self._non:
            self._non = False
            (self._after if self._heads else self._before).append(denied(part))
        elif kind == "head":
            self._heads.append(part)
            self._placed = False
        else:
            own = self._after if self._heads else self._before
            if kind == "word" and own and self._last in ("word", "side"):
                own[-1:] = self._together(own[-1], part)
            else:
                own.append(part)
        self._last = kind

    def _together(self, first: QueryPart, second: QueryPart) -> list[QueryPart]:
        """Words that the lexicon does not know stand side by side, after a side as well."""
        if first.kind == "side" and self._heads:
            return [first, second]
        wording = f"{first.wording} {second.wording}"
        query = f"{first.query}-{second.query}"
        loose = f"{first.words or first.query} AND {second.query}"
        return [replace(first, kind="word", query=query, wording=wording, words=loose)]

    def _part(self, token: PlainToken, kind: PartKind) -> QueryPart:
        number, self._numbers = self._numbers, self._numbers + 1
        wording, words = token.wording, joined(token.wording)
        if is_normal(token):
            return QueryPart(number, kind, "disease:normal", wording, (), "normal")
        diseases = tuple(h.name for h in token.headings if "disease" in h.kinds)
        if kind == "location" and token.headings[0].kinds == ("location",):
            query = f"location:{wording}" if wording.isalnum() else f'location:"{wording}"'
            return QueryPart(number, kind, query, wording, diseases, words)
        return QueryPart(number, kind, words, wording, diseases)

    def _condition(self, token: PlainToken) -> None:
        found = token.found
        assert found is not None
        if found.kind == "left out":
            self.left_out.append((found.wording, found.query))
            return
        non = self._non
        self._end_unless_joined()
        number, self._numbers = self._numbers, self._numbers + 1
        kind: PartKind = found.kind  # type: ignore[assignment]
        part = QueryPart(number, kind, found.query, found.wording)
        is_denied = self._negated is not non
        self._add(PlainPhrase((part,), negated=True) if is_denied else part)
        self._reset()

    # ---- phrases --------------------------------------------------------------------------------

    @property
    def _is_open(self) -> bool:
        return bool(self._heads or self._before)

    @property
    def _denies_alone(self) -> bool:
        """Whether what is open denies something of the finding before it, and is no finding."""
        before = self._clauses[-1].any_of if self._clauses else ()
        return (
            self._negated
            and self._join == "and"
            and self._is_open
            and all(map(_is_adjective, (*self._heads, *self._before, *self._after)))
            and len(before) == 1
            and isinstance(before[0], PlainPhrase)
            and bool(before[0].heads)
            and not before[0].negated
        )

    def _deny_of_finding(self) -> None:
        """What comes next says where the finding is: "nodule not calcified RUL"."""
        (finding,) = self._clauses[-1].any_of
        assert isinstance(finding, PlainPhrase)
        said = ((denied(part),) for part in (*self._heads, *self._before, *self._after))
        self._clauses[-1] = Clause((replace(finding, qualifiers=(*finding.qualifiers, *said)),))
        self._reset()

    def _reset(self) -> None:
        self._join, self._negated, self._doubt, self._optional = "and", False, "", False
        self._cue = ""
        self._begin()

    def _end_unless_joined(self) -> None:
        """A cue after words begins anew; one right after OR belongs to it."""
        if self._is_open:
            self._end()

    def _end_thought(self) -> None:
        """Close the phrase, or say a cue that nothing follows of what stands before it."""
        if not self._is_open and self._clauses and self._join == "and" and self._cue in _CAN_END:
            negated, self._doubt, doubt = self._negated, "", self._doubt
            self._say_of_before(negated=negated, doubt=doubt)
            self._reset()
        self._end()

    def _end(self) -> None:
        """Close the phrase, if there is one; what follows is joined by AND."""
        if not self._is_open:
            if self._join == "and" and not self._negated and not self._doubt:
                self._reset()
            return
        qualifiers = tuple((part,) for part in (*self._before, *self._after))
        phrase = PlainPhrase(tuple(self._heads), qualifiers, self._negated, self._doubt)
        if self._optional:
            self.left_out.append((" ".join(p.wording for p in phrase.parts), _OPTIONAL_REASON))
        else:
            self._add(self._judged(phrase))
        self._reset()

    def _judged(self, phrase: PlainPhrase) -> PlainPhrase:
        """Of what is doubted the disease alone is known."""
        named = phrase.heads and any(part.headings for part in phrase.heads)
        if phrase.doubt in ("doubt", "gone") and phrase.qualifiers and named:
            reason = _DOUBTED_REASON if phrase.doubt == "doubt" else _GONE_REASON
            for part in (p for any_of in phrase.qualifiers for p in any_of):
                self.left_out.append((part.wording, reason))
            return replace(phrase, qualifiers=())
        return phrase

    def _say_of_before(self, *, negated: bool, doubt: Doubt = "doubt") -> None:
        """Deny or doubt what stands before."""
        self._end()
        if not self._clauses:
            return
        said: list[PlainPhrase | QueryPart] = []
        for one in self._clauses[-1].any_of:
            phrase = one if isinstance(one, PlainPhrase) else PlainPhrase((one,))
            if negated:
                # "Effusion? No" answers what was asked.
                kept: Doubt = "" if phrase.doubt == "asked" else phrase.doubt
                said.append(replace(phrase, negated=True, doubt=kept))
            elif isinstance(one, PlainPhrase) and not one.negated:
                said.append(self._judged(replace(one, doubt=doubt)))
            else:
                said.append(one)
        self._clauses[-1] = Clause(tuple(said))

    def _share_back(self, whole: PlainPhrase) -> None:
        """Give the finding to the places before the last two, too: "RUL, RML and RLL opacity"."""
        for place in range(len(self._clauses) - 3, -1, -1):
            (first, *more) = self._clauses[place].any_of
            pair = None if more else shared(first, whole)
            if pair is None or (isinstance(first, PlainPhrase) and first.heads):
                return
            self._clauses[place] = Clause((pair[0],))

    def _add(self, one: PlainPhrase | QueryPart) -> None:
        """Join a phrase or a condition to what stands before it."""
        if not self._clauses:
            self._clauses.append(Clause((one,)))
            return
        *earlier, last = self._clauses[-1].any_of
        if self._join == "and":
            if not earlier and (whole := qualified(last, one)) is not None:
                self._clauses[-1] = Clause((whole,))
                return
            pair = shared(last, one) if not earlier else None
            if pair is not None:
                self._clauses[-1:] = [Clause((phrase,)) for phrase in pair]
                self._share_back(pair[0])
            else:
                self._clauses.append(Clause((one,)))
            return
        both = merged(last, one, distribute=self._join == "vs", placed=self._placed)
        # "Small, moderate or large effusion": those before the last two are of it as well.
        while both is not None and earlier and is_place_or_degree(earlier[-1]):
            more = merged(earlier[-1], both, distribute=False, placed=False)
            if more is None:
                break
            both = more
            earlier.pop()
        alternatives = (*earlier, both) if both is not None else (*earlier, last, one)
        self._clauses[-1] = Clause(alternatives)


def _is_adjective(part: QueryPart) -> bool:
    return part.kind == "other" or _ADJECTIVE.match(part.wording) is not None


def _is_well(clause: Clause) -> bool:
    """Whether it asks for what is normal."""
    return [(p.query, negated) for p, negated in _heads(clause)] == [("disease:normal", False)]


def _finds(clause: Clause) -> bool:
    """Whether it asks for a finding that is there."""
    return any(p.headings and not negated for p, negated in _heads(clause))


def _heads(clause: Clause) -> list[tuple[QueryPart, bool]]:
    return [
        (part, one.negated)
        for one in clause.any_of
        if isinstance(one, PlainPhrase)
        for part in one.heads
    ]
