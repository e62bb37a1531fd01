"""The query language: a string to a tree (`language.tree`), or a `QueryError` that says where.

====================================  =========================================================
``effusion left``                     both words, in annotations or in what the report affirms
                                      (side by side: AND)
``"pleural effusion"``                the phrase
``a AND b``, ``a OR b``, ``NOT a``    in capitals; ``-a`` is ``NOT a``; AND before OR, and words
                                      side by side last: ``a OR b c`` is ``(a OR b) AND c``
``disease:cardiomegaly``              exact value of a field; ``disease:"pleural effusion"``
``side:(left OR right)``              several values
``finding:(effusion AND left)``       all of it within one annotation; words, label fields, origin
``absent:pneumothorax``               what the report denies; ``uncertain:`` what it doubts
``age:60``, ``age:>60``               numbers; ``age:[40 TO 60]``, ``age:{40 TO *]``
``cardio*``, ``*thorax``, ``gr?y``    words of a shape; ``disease:pneumo*``; ``report:*`` has one
``cardiomegly~``, ``nodul~1``         words up to two letters off
``left^2``, ``(a OR b)^0.5``          boosts: how much it counts in the score
``origin:human``                      also narrows the labels it is joined with (`tree.narrow`)
``*``                                 every image
====================================  =========================================================

The grammar is Lucene's as luqum reads it; regular expressions and phrases with a distance are
refused.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn, get_args

from indexer.annotation import Origin
from indexer.errors import QueryError
from search.language.fields import FIELDS, FINDING_FIELDS, Vocabulary
from search.language.spelling import most_edits, nearest
from search.language.tree import (
    And,
    Boost,
    Finding,
    Fuzzy,
    MatchAll,
    Node,
    Not,
    Phrase,
    Prefix,
    Present,
    Range,
    Term,
    Value,
    Wildcard,
    conjunction,
    disjunction,
    leaves,
)

__all__ = ["MAX_BOOST", "MAX_DEPTH", "MAX_LENGTH", "MAX_SHAPES", "MAX_TERMS", "parse"]

MAX_LENGTH = 10_000
MAX_DEPTH = 40
MAX_TERMS = 500
# Wildcards and fuzzy words look at every word of the index.
MAX_SHAPES = 20
MAX_STARS = 5
MAX_BOOST = 100.0

_MIN_LETTERS = 2
_MIN_FUZZY_LETTERS = 3
# Limit of the product of all boosts around a word, so that no score overflows.
_MAX_WEIGHT = 1e6
_SHAPE = re.compile(r"\\(.)|(\*+)|(.)", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_POSITION = re.compile(r"at position ([0-9]+)!?$")
_UNSUPPORTED = {
    "Proximity": "phrases with a distance (~)",
    "Regex": "regular expressions",
}


def parse(text: str, vocabulary: Vocabulary | None = None) -> Node:
    """The tree of a query.

    Parameters
    ----------
    text
        The query, at most `MAX_LENGTH` characters.
    vocabulary
        Values of the closed fields; None leaves them unchecked.

    Raises
    ------
    QueryError
        For anything the language does not know; its text names the column (from 1).
    """
    if len(text) > MAX_LENGTH:
        raise QueryError(f"the query has {len(text)} characters; at most {MAX_LENGTH} are read")
    if not text.strip():
        raise QueryError("the query is empty; * finds every image")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        _refuse(error.start, "half of a surrogate pair is no character")
    return _Converter(text, vocabulary).convert(_luqum(text), None, 0)


def _luqum(text: str) -> Any:
    """luqum's own tree of `text`."""
    from luqum.exceptions import ParseError
    from luqum.thread import parse as parse_lucene

    try:
        return parse_lucene(text)
    except ParseError as error:
        found = _POSITION.search(str(error))
        position = int(found.group(1)) if found else len(text.rstrip())
        _refuse(position, _diagnosis(text, position))
    except (ArithmeticError, ValueError):
        at = re.search(r"[~^][0-9.]+", text)
        _refuse(at.start() if at else 0, "a number after ~ or ^ is malformed")


def _diagnosis(text: str, position: int) -> str:
    """What is wrong at `position`, where the grammar broke off."""
    rest = text[position:].lstrip()
    if not rest:
        if text.count("(") > text.count(")"):
            return 'a "(" is never closed'
        return "the query breaks off here; a word is missing"
    if rest[0] == '"':
        return "the quotation mark is never closed"
    if rest[0] == ")":
        return '")" closes nothing' if text.count(")") > text.count("(") else '")" comes too early'
    word = rest.split()[0][:40]
    if word in ("AND", "OR", "NOT"):
        return f"{word} has no word before it; to search for the word itself, put it in quotes"
    if rest[0] in "'/\\":
        return f"no word starts with {rest[0]}; put it in quotes"
    return f'"{word}" is not expected here; put it in quotes if it is meant as text'


def _refuse(position: int, message: str) -> NoReturn:
    # A quoted part of the query must not break the line or control a terminal.
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in message)
    raise QueryError(f"column {position + 1}: {shown}")


class _Converter:
    """Turns luqum's tree into ours, checking fields, values and size on the way."""

    def __init__(self, text: str, vocabulary: Vocabulary | None) -> None:
        self.text = text
        self.vocabulary = vocabulary
        self.terms = 0
        self.shapes = 0
        self.weight = 1.0
        self.in_finding = False

    def convert(self, item: Any, field: str | None, depth: int) -> Node:
        name = type(item).__name__
        position = item.pos or 0
        if depth > MAX_DEPTH:
            _refuse(position, f"more than {MAX_DEPTH} levels of nesting")
        match name:
            case "Group" | "FieldGroup":
                return self.convert(item.expr, field, depth + 1)
            case "AndOperation" | "UnknownOperation":
                return conjunction(*(self.convert(i, field, depth + 1) for i in item.operands))
            case "OrOperation":
                return disjunction(*(self.convert(i, field, depth + 1) for i in item.operands))
            case "Not" | "Prohibit":
                return Not(self.convert(item.a, field, depth + 1))
            case "Plus":
                return self.convert(item.a, field, depth + 1)
            case "Boost":
                return self._boost(item, field, position, depth)
            case "SearchField":
                return self._search_field(item, field, depth)
        self.terms += 1
        if self.terms > MAX_TERMS:
            _refuse(position, f"more than {MAX_TERMS} words and values")
        match name:
            case "Word":
                return self._word(item, field, position)
            case "Fuzzy":
                return self._fuzzy(item, field, position)
            case "Phrase":
                return self._literal(_ESCAPE.sub(r"\1", item.value[1:-1]), field, position, Phrase)
            case "Range":
                low, high = self._bound(item.low, field), self._bound(item.high, field)
                return self._range(field, position, low, high, item.include_low, item.include_high)
            case "From":
                bound = self._bound(item.a, field)
                return self._range(field, position, bound, None, item.include, True)
            case "To":
                bound = self._bound(item.a, field)
                return self._range(field, position, None, bound, True, item.include)
        _refuse(position, f"{_UNSUPPORTED.get(name, name)} are not supported")

    def _search_field(self, item: Any, outer: str | None, depth: int) -> Node:
        position = item.pos or 0
        if item.name == "*" and type(item.expr).__name__ == "Word" and item.expr.value == "*":
            return MatchAll()
        field = _ESCAPE.sub(r"\1", item.name).lower()
        if field not in FIELDS:
            guess = nearest(field, FIELDS)
            hint = f'did you mean "{guess}"?' if guess else f"there are {', '.join(FIELDS)}"
            _refuse(position, f'unknown field "{field[:40]}"; {hint}')
        if outer is not None:
            _refuse(position, f'field "{field}" stands inside field "{outer}"')
        if self.in_finding and field not in FINDING_FIELDS:
            there = ", ".join(FINDING_FIELDS)
            _refuse(position, f'field "{field}" stands inside finding; there may be {there}')
        if field == "finding":
            return self._finding(item.expr, position, depth + 1)
        return self.convert(item.expr, field, depth + 1)

    def _finding(self, expression: Any, position: int, depth: int) -> Node:
        """What is inside holds of one annotation; an origin in it is that annotation's."""
        self.in_finding = True
        inner = self.convert(expression, None, depth)
        self.in_finding = False
        parts = inner.nodes if isinstance(inner, And) else (inner,)
        asked = {p.value: p for p in parts if isinstance(p, Value) and p.field == "origin"}
        rest = conjunction(*(part for part in parts if part not in asked.values()))
        if len(asked) > 1 or any(getattr(leaf, "field", None) == "origin" for leaf in leaves(rest)):
            _refuse(position, "inside finding stands one origin at most, joined by AND")
        origin = next(iter(asked), None)
        return Finding(rest, next((o for o in get_args(Origin) if o == origin), None))

    def _boost(self, item: Any, field: str | None, position: int, depth: int) -> Node:
        factor = float(item.force)
        if self.in_finding:
            _refuse(position, "a boost stands around finding:(...), not inside it")
        written = self.text[position : position + item.size].rstrip()
        if written.endswith("^") or not 0 < factor <= MAX_BOOST:
            _refuse(position, f"after ^ stands a number above 0, at most {MAX_BOOST:.0f}")
        outer = self.weight
        self.weight *= factor
        if not 1 / _MAX_WEIGHT <= self.weight <= _MAX_WEIGHT:
            _refuse(position, "the boosts inside each other are too much together")
        node = Boost(self.convert(item.expr, field, depth + 1), factor)
        self.weight = outer
        return node

    def _word(self, item: Any, field: str | None, position: int) -> Node:
        pattern, text, first = _shape(item.value)
        if first is None:
            return self._literal(text, field, position, Term)
        if pattern == "*":
            return Present(field) if field else MatchAll()
        kind = FIELDS[field] if field else "text"
        if kind == "number":
            _refuse(position, f'field "{field}" takes numbers, as in {field}:[40 TO 60]')
        if kind == "text" and not all(c.isalnum() for c in text):
            _refuse(position + first, "beside a wildcard stand letters and digits only")
        if sum(c.isalnum() for c in text) < _MIN_LETTERS:
            _refuse(position + first, "beside a wildcard stand at least two letters or digits")
        if "*" in text or "?" in text:
            _refuse(position + first, "no value has a * or ? in it")
        if pattern == f"{text}*":
            return Prefix(text.lower(), field)
        if pattern.count("*") > MAX_STARS:
            _refuse(position + first, f"more than {MAX_STARS} * in one word")
        self._count_shape(position)
        return Wildcard(" ".join(pattern.lower().split()), field)

    def _fuzzy(self, item: Any, field: str | None, position: int) -> Node:
        _, text, first = _shape(item.term.value)
        if first is not None:
            _refuse(position + first, "a wildcard and a ~ do not go together")
        kind = FIELDS[field] if field else "text"
        if kind == "number":
            _refuse(position, f'field "{field}" takes numbers, as in {field}:[40 TO 60]')
        if kind == "text" and not text.isalnum():
            _refuse(position, "before a ~ stand letters and digits only")
        if sum(c.isalnum() for c in text) < _MIN_FUZZY_LETTERS:
            _refuse(position, f"before a ~ stand at least {_MIN_FUZZY_LETTERS} letters or digits")
        distance = item.degree
        if self.text[position : position + item.size].rstrip().endswith("~"):
            distance = most_edits(text)
        if distance not in (1, 2):
            _refuse(position, "after ~ stands 1 or 2, the number of letters that may differ")
        self._count_shape(position)
        return Fuzzy(" ".join(text.lower().split()), field, int(distance))

    def _count_shape(self, position: int) -> None:
        self.shapes += 1
        if self.shapes > MAX_SHAPES:
            _refuse(position, f"more than {MAX_SHAPES} wildcards and fuzzy words")

    def _literal(
        self, text: str, field: str | None, position: int, kind: type[Term] | type[Phrase]
    ) -> Node:
        """A word or phrase; in a keyword field, its exact value."""
        declared = FIELDS[field] if field else "text"
        if field is None or declared == "text":
            if not any(c.isalnum() for c in text):
                _refuse(position, f'"{text[:40]}" has no letter or digit to search for')
            return kind(text, field)
        if declared == "number":
            number = self._number(text, field, position)
            return Range(field, number, number)
        if declared == "closed" and self.vocabulary is not None:
            value = self.vocabulary.find(field, text)
            if value is None:
                guess = self.vocabulary.suggest(field, text)
                hint = f'; did you mean {field}:"{guess}"?' if guess else ""
                _refuse(position, f'no {field} is called "{text[:60]}"{hint}')
            return Value(field, value)
        return Value(field, " ".join(text.lower().split()))

    def _bound(self, item: Any, field: str | None) -> int | None:
        """A bound of a range; None where it is open (``*``)."""
        position = item.pos or 0
        name = type(item).__name__
        if field is None or FIELDS[field] != "number":
            numbers = [name for name, kind in FIELDS.items() if kind == "number"]
            _refuse(position, f"a range needs a number field: {' or '.join(numbers)}, as age:>60")
        if name == "Word" and item.value == "*":
            return None
        text = item.value.strip('"') if name in ("Word", "Phrase") else str(item)
        return self._number(text, field, position)

    def _number(self, text: str, field: str, position: int) -> int:
        if not _NUMBER.fullmatch(text.strip()):
            _refuse(position, f'field "{field}" takes whole numbers, not "{text.strip()[:40]}"')
        return int(text)

    def _range(
        self,
        field: str | None,
        position: int,
        low: int | None,
        high: int | None,
        include_low: bool,
        include_high: bool,
    ) -> Node:
        assert field is not None  # _bound has refused any other
        if low is not None and not include_low:
            low += 1
        if high is not None and not include_high:
            high -= 1
        if low is not None and high is not None and low > high:
            _refuse(position, "the range is empty: its lower bound is above its upper one")
        return Range(field, low, high) if (low, high) != (None, None) else Present(field)


def _shape(value: str) -> tuple[str, str, int | None]:
    """A word's pattern, its literal letters, and where in it the first wildcard stands, if any."""
    pattern: list[str] = []
    literal: list[str] = []
    first: int | None = None
    for piece in _SHAPE.finditer(value):
        escaped, stars, plain = piece.groups()
        if stars or plain == "?":
            first = piece.start() if first is None else first
            pattern.append("*" if stars else "?")
        else:
            pattern.append(escaped or plain)
            literal.append(escaped or plain)
    return "".join(pattern), "".join(literal), first
