"""From a query as typed to the tree that is searched for: free text is read, the rest parsed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from indexer.annotation import Origin
from indexer.database.text.schema import LABELS
from indexer.errors import QueryError
from search.language.fields import Vocabulary
from search.language.plain.free_text import is_free, understand
from search.language.plain.understood import Understood
from search.language.query import MAX_LENGTH, parse
from search.language.tree import (
    And,
    Boost,
    Finding,
    Node,
    Or,
    Phrase,
    Term,
    Value,
    as_finding,
    conjunction,
    disjunction,
    is_labelled,
    leaves,
)

__all__ = ["QueryReading", "ranked", "read", "read_sentence", "worded"]

# In the query language these are ordinary words.
_OPERATORS = {"no": "NOT", "not": "NOT", "without": "NOT", "w/o": "NOT", "or": "OR"}

# What people say counts more than any words do, and who says it.
_SAID = 100.0
_PEOPLE: tuple[Origin, ...] = ("human", "report")


@dataclass(frozen=True, slots=True)
class QueryReading:
    """What is searched for.

    Parameters
    ----------
    tree
        As it was parsed, not expanded by the lexicon.
    query
        The tree in the query language.
    understood
        How free text was read; None where the query was taken literally.
    given_up
        What is given up of it, as nothing matched everything.
    notes
        What the person who asked should know of the reading.
    """

    tree: Node
    query: str
    understood: Understood | None = None
    given_up: str = ""
    notes: tuple[str, ...] = ()

    def matching(self, count: Callable[[Node], int], vocabulary: Vocabulary | None) -> QueryReading:
        """This reading, or the first looser one that anything matches.

        Parameters
        ----------
        count
            How many images match a tree.
        """
        if self.understood is None or not self.understood.is_relaxable or count(self.tree):
            return self
        for query, given_up in self.understood.relaxed():
            tree = parse(query, vocabulary)
            if count(tree):
                note = f"nothing matches all of it; {given_up}"
                return replace(
                    self, tree=tree, query=query, given_up=given_up, notes=(*self.notes, note)
                )
        return self

    def to_json(self) -> dict[str, Any] | None:
        """``{"query", "left_out", "given_up"}``, or None where the query was taken literally."""
        if self.understood is None:
            return None
        left_out = [{"text": text, "reason": reason} for text, reason in self.understood.left_out]
        return {"query": self.query, "left_out": left_out, "given_up": self.given_up or None}


def read(text: str, vocabulary: Vocabulary | None = None, *, literal: bool = False) -> QueryReading:
    """What a query asks for.

    Parameters
    ----------
    text
        Free text, or a query in the language of `search.language.query`.
    vocabulary
        Values of the closed fields; None leaves them unchecked.
    literal
        Take free text for a query in the language, too.

    Raises
    ------
    QueryError
        As of `search.language.query.parse`.
    """
    understood = understand(text) if not literal and _is_readable(text) else None
    if understood is None:
        tree = parse(text, vocabulary)
        return QueryReading(tree, text, notes=() if literal or is_free(text) else _operators(tree))
    query = understood.query
    notes = tuple(f'"{wording}" was left out: {reason}' for wording, reason in understood.left_out)
    return QueryReading(parse(query, vocabulary), query, understood, notes=notes)


def worded(tree: Node) -> Node:
    """The tree with a score for images whose labels and reports say its findings in words, too.

    A finding alone gives all its images one score, be it predicted or said by everybody.

    Parameters
    ----------
    tree
        Of a reading, expanded.
    """
    found = (
        part
        for part in _parts(tree)
        if isinstance(part, Finding) or (isinstance(part, Value | Or) and _labels(part))
    )
    words = [
        Phrase(leaf.value if isinstance(leaf, Value) else leaf.text)
        for leaf in leaves(conjunction(*found), positive=True)
        if isinstance(leaf, Term | Phrase | Value)
    ]
    if not words:
        return tree
    return Or((tree, conjunction(tree, disjunction(*dict.fromkeys(words)))))


def ranked(tree: Node) -> Node:
    """As `worded`, and first the images of which people or reports say all that is asked for.

    Parameters
    ----------
    tree
        Of a reading, expanded.
    """
    scored = worded(tree)
    said = [_said(p) for p in _parts(tree) if isinstance(p, Finding) or is_labelled(p)]
    if not said:
        return tree
    first = conjunction(tree, *(Boost(node, _SAID) for node in said))
    ways = scored.nodes if isinstance(scored, Or) and scored is not tree else (tree,)
    return Or((*ways, first))


def _parts(tree: Node) -> tuple[Node, ...]:
    return tree.nodes if isinstance(tree, And) else (tree,)


def _said(part: Node) -> Node:
    """Images of which people or reports say a part, each of them for one."""
    finding = part if isinstance(part, Finding) else Finding(as_finding(part))
    return Or(tuple(replace(finding, origin=origin) for origin in _PEOPLE))


def _labels(node: Node) -> bool:
    """Whether it asks for values of labels alone."""
    return all(isinstance(leaf, Value) and leaf.field in LABELS for leaf in leaves(node))


def read_sentence(
    text: str, vocabulary: Vocabulary | None = None, *, literal: bool = False
) -> QueryReading | None:
    """A sentence that is searched for by its meaning, where it can be read as well; else None."""
    if literal or not text.strip() or not _is_readable(text):
        return None
    try:
        reading = read(text, vocabulary)
    except QueryError:
        # A text that is too long for a query may still have a meaning.
        return None
    return reading if reading.understood is not None else None


def _is_readable(text: str) -> bool:
    """Whether it is free text; what the language refuses outright is left to it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return len(text) <= MAX_LENGTH and is_free(text)


def _operators(tree: Node) -> tuple[str, ...]:
    """Words of a query in the language that were hardly meant as words."""
    words = [leaf.text.lower() for leaf in leaves(tree) if isinstance(leaf, Term)]
    meant = [word for word in dict.fromkeys(words) if word in _OPERATORS]
    return tuple(
        f'"{word}" is searched for as a word, as the query has signs of the query language; '
        f"to mean {_OPERATORS[word]}, write {_OPERATORS[word]}"
        for word in meant
    )
