"""Filters: `field:value` arguments to the same tree as a query, and from there to FAISS keys.

``disease:cardiomegaly`` holds one value or several with commas between them (any of them counts);
``age:[40 TO 60]`` and ``age:>60`` a range; ``report:effusion`` a word; ``id:0a*`` a shape,
``disease:cardiomegly~`` a near word, ``finding:(effusion AND left)`` a finding. A leading minus
turns a filter round. Several filters must hold together. A value that has a comma of its own
(``tube, inserted``) is recognised as the field's value, or stands in quotes; a composite is one
value with all its commas. Choices, ``disease=effusion``, are the values picked in a facet.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable

from indexer.errors import QueryError
from search.language.fields import FIELDS, Vocabulary, check_facets
from search.language.query import parse
from search.language.spelling import nearest
from search.language.tree import And, Node, Not, Or, Value, conjunction, disjunction

__all__ = ["parse_choices", "parse_filters"]

# A wildcard that no backslash takes back, or a ~ at the end.
_PATTERN = re.compile(r"(?<!\\)[*?]|~[0-9]?$")


def parse_filters(filters: Iterable[str], vocabulary: Vocabulary) -> Node:
    """One tree for all filters; `MatchAll` where there are none.

    Raises
    ------
    QueryError
        A filter is malformed, or its field or value is unknown; the text quotes the filter.
    """
    return conjunction(*(_parse_filter(text, vocabulary) for text in filters))


def parse_choices(choices: Iterable[str], vocabulary: Vocabulary) -> dict[str, Node]:
    """The conditions picked in facets, by facet; of one facet's values any counts.

    Parameters
    ----------
    choices
        ``facet=value``; the value is the whole rest.

    Raises
    ------
    QueryError
        A choice is malformed, or its facet or value is unknown; the text quotes the choice.
    """
    chosen: dict[str, list[Node]] = {}
    for text in choices:
        shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:80])
        name, sign, value = text.partition("=")
        field, value = name.strip().lower(), value.strip()
        if not sign or not value:
            raise QueryError(f'choice "{shown}": a choice is facet=value, as in disease=effusion')
        try:
            (facet,) = check_facets([field])
            chosen.setdefault(facet, []).append(_value(facet, value, vocabulary, exact=True))
        except QueryError as error:
            raise QueryError(f'choice "{shown}": {_without_column(str(error))}') from error
    return {facet: disjunction(*nodes) for facet, nodes in chosen.items()}


def _parse_filter(text: str, vocabulary: Vocabulary) -> Node:
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:80])
    name, colon, rest = text.strip().partition(":")
    negative = name.startswith("-")
    field, rest = name.removeprefix("-").strip().lower(), rest.strip()
    if not colon or not rest:
        raise QueryError(f'filter "{shown}": a filter is field:value, as in disease:cardiomegaly')
    if field not in FIELDS:
        guess = nearest(field, FIELDS)
        hint = f'did you mean "{guess}"?' if guess else f"there are {', '.join(FIELDS)}"
        raise QueryError(f'filter "{shown}": unknown field; {hint}')
    try:
        values = _values(field, rest, vocabulary)
        node = disjunction(*(_value(field, value, vocabulary) for value in values))
    except QueryError as error:
        raise QueryError(f'filter "{shown}": {_without_column(str(error))}') from error
    return Not(node) if negative else node


def _values(field: str, text: str, vocabulary: Vocabulary) -> list[str]:
    """`text` cut at its commas, but never inside a value of the field."""
    if FIELDS[field] == "finding" or (field == "composite" and not text.startswith('"')):
        return [text]
    try:
        pieces = [piece.strip() for piece in next(csv.reader([text], skipinitialspace=True))]
    except csv.Error as error:
        raise QueryError(f"the values cannot be told apart: {error}") from error
    if not all(pieces):
        raise QueryError("a value is missing before or after a comma")
    if FIELDS[field] != "closed" or len(pieces) == 1:
        return pieces
    values: list[str] = []
    longest, start = vocabulary.most_commas(field) + 1, 0
    while start < len(pieces):
        for width in range(min(longest, len(pieces) - start), 0, -1):
            joined = ", ".join(pieces[start : start + width])
            if width == 1 or vocabulary.find(field, joined) is not None:
                values.append(joined)
                start += width
                break
    return values


def _value(field: str, value: str, vocabulary: Vocabulary, *, exact: bool = False) -> Node:
    kind = FIELDS[field]
    if kind in ("number", "finding"):
        node = parse(f"{field}:{value}", vocabulary)
        if isinstance(node, And | Or | Not):
            raise QueryError("that is more than one value; put commas between values")
        return node
    if not exact and _PATTERN.search(value):
        shape = re.sub(r"(\\.)|([^\w*?~])", lambda m: m[1] or f"\\{m[2]}", value)
        return parse(f"{field}:{shape}", vocabulary)
    if kind == "open":
        return Value(field, " ".join(value.lower().split()))
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return parse(f'{field}:"{quoted}"', vocabulary)


def _without_column(message: str) -> str:
    """A message of the parser without its column, which counts in a text the user did not write."""
    column, _, rest = message.partition(": ")
    return rest if column.startswith("column ") else message
