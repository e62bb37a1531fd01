"""Filters: `field:value` arguments to the same tree as a query, and from there to FAISS keys.

``disease:cardiomegaly`` holds one value or several with commas between them (any of them counts);
``age:[40 TO 60]`` and ``age:>60`` a range; ``report:effusion`` a word; ``id:0a*`` a beginning. A
leading minus turns a filter round. Several filters must hold together. A value that has a comma of
its own (``tube, inserted``) is recognised as the field's value, or stands in quotes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable

from indexer.errors import QueryError
from search.query import parse
from search.tree import And, Node, Not, Or, Value, conjunction, disjunction
from search.vocabulary import FIELDS, Vocabulary, nearest

__all__ = ["parse_filters"]


def parse_filters(filters: Iterable[str], vocabulary: Vocabulary) -> Node:
    """One tree for all filters; `MatchAll` where there are none.

    Raises
    ------
    QueryError
        A filter is malformed, or its field or value is unknown; the text quotes the filter.
    """
    return conjunction(*(_parse_filter(text, vocabulary) for text in filters))


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
    try:
        pieces = [piece.strip() for piece in next(csv.reader([text], skipinitialspace=True))]
    except csv.Error as error:
        raise QueryError(f"the values cannot be told apart: {error}") from error
    if not all(pieces):
        raise QueryError("a value is missing before or after a comma")
    if FIELDS[field] != "closed":
        return pieces
    values: list[str] = []
    while pieces:
        for width in range(len(pieces), 0, -1):
            joined = ", ".join(pieces[:width])
            if width == 1 or vocabulary.find(field, joined) is not None:
                values.append(joined)
                del pieces[:width]
                break
    return values


def _value(field: str, value: str, vocabulary: Vocabulary) -> Node:
    if FIELDS[field] == "number" or value.endswith("*"):
        node = parse(f"{field}:{value}", vocabulary)
        if isinstance(node, And | Or | Not):
            raise QueryError("that is more than one value; put commas between values")
        return node
    if FIELDS[field] == "open":
        return Value(field, value.lower())
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return parse(f'{field}:"{quoted}"', vocabulary)


def _without_column(message: str) -> str:
    """A message of the parser without its column, which counts in a text the user did not write."""
    column, _, rest = message.partition(": ")
    return rest if column.startswith("column ") else message
