"""Two phrases as one thought: what one says of its finding holds for the other, too."""

from __future__ import annotations

from dataclasses import replace

from search.language.plain.understood import PartKind, PlainPhrase, QueryPart

__all__ = ["denied", "is_place_or_degree", "merged", "qualified", "shared"]


def denied(part: QueryPart) -> QueryPart:
    """What must not be said of a finding."""
    words = f"NOT {part.words or part.query}"
    return replace(part, kind="other", query=f"NOT {part.query}", words=words)


def _alike(a: PlainPhrase | QueryPart, b: PlainPhrase | QueryPart) -> bool:
    return (
        isinstance(a, PlainPhrase)
        and isinstance(b, PlainPhrase)
        and (a.negated, a.doubt) == (b.negated, b.doubt)
    )


def is_place_or_degree(one: PlainPhrase | QueryPart) -> bool:
    """Whether it says one thing of a finding that it does not name."""
    return isinstance(one, PlainPhrase) and _lone(one) is not None


def _lone(phrase: PlainPhrase) -> tuple[QueryPart, ...] | None:
    """The one qualifier that a phrase without a finding is made of."""
    return phrase.qualifiers[0] if not phrase.heads and len(phrase.qualifiers) == 1 else None


def _qualifier_index(kind: PartKind, phrase: PlainPhrase) -> int | None:
    """Which of its qualifiers is of a kind."""
    found = (n for n, any_of in enumerate(phrase.qualifiers) if any_of[0].kind == kind)
    return next(found, None)


def _with(phrase: PlainPhrase, place: int, any_of: tuple[QueryPart, ...]) -> PlainPhrase:
    qualifiers = (*phrase.qualifiers[:place], any_of, *phrase.qualifiers[place + 1 :])
    return replace(phrase, qualifiers=qualifiers)


def merged(
    a: PlainPhrase | QueryPart, b: PlainPhrase | QueryPart, *, distribute: bool, placed: bool
) -> PlainPhrase | None:
    """Two phrases joined by OR as one: "RUL or LUL nodule", "nodule or mass in the RUL"."""
    if not (_alike(a, b) and isinstance(a, PlainPhrase) and isinstance(b, PlainPhrase)):
        return None
    if (lone := _lone(a)) and b.heads and (place := _qualifier_index(lone[0].kind, b)) is not None:
        return _with(b, place, (*lone, *b.qualifiers[place]))
    if (lone := _lone(b)) and a.heads and (place := _qualifier_index(lone[0].kind, a)) is not None:
        return _with(a, place, (*a.qualifiers[place], *lone))
    if a.heads and b.heads and not a.qualifiers and b.qualifiers and placed:
        return replace(b, heads=(*a.heads, *b.heads))
    if a.heads and b.heads and a.qualifiers and not b.qualifiers and distribute:
        return replace(a, heads=(*a.heads, *b.heads))
    return None


def qualified(a: PlainPhrase | QueryPart, b: PlainPhrase | QueryPart) -> PlainPhrase | None:
    """A finding with what is said of it after a comma: "effusion, left", "mass, not in the RUL"."""
    if not (isinstance(a, PlainPhrase) and isinstance(b, PlainPhrase)):
        return None
    others = [part for any_of in b.qualifiers for part in any_of]
    if not a.heads or a.negated or b.heads or a.doubt or b.doubt:
        return None
    if any(part.kind not in ("side", "location", "severity") for part in others):
        return None
    if b.negated:
        others = [denied(part) for part in others]
    elif any(_qualifier_index(part.kind, a) is not None for part in others):
        return None
    return replace(a, qualifiers=(*a.qualifiers, *((part,) for part in others)))


def shared(
    a: PlainPhrase | QueryPart, b: PlainPhrase | QueryPart
) -> tuple[PlainPhrase, PlainPhrase] | None:
    """Two of one finding joined by AND: "left and right effusion", "large right and small left
    effusion"."""
    if not (_alike(a, b) and isinstance(a, PlainPhrase) and isinstance(b, PlainPhrase)):
        return None
    if not a.heads and b.heads and (whole := _moved(b, a)) is not None:
        return whole, b
    if a.heads and not b.heads and (whole := _moved(a, b)) is not None:
        return a, whole
    return None


def _moved(whole: PlainPhrase, other: PlainPhrase) -> PlainPhrase | None:
    """The finding as the other phrase has it, where that names nothing but what this names, too."""
    for any_of in other.qualifiers:
        place = _qualifier_index(any_of[0].kind, whole)
        if place is None:
            return None
        whole = _with(whole, place, any_of)
    return whole if other.qualifiers else None
