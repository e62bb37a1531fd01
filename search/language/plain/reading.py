"""A query as it was typed to the tree that is searched for: free text read, all else parsed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from search.language.plain.free_text import is_free, understand
from search.language.plain.understood import Understood
from search.language.query import MAX_LENGTH, parse
from search.language.tree import Node, Word, leaves
from search.language.vocabulary import Vocabulary

__all__ = ["Reading", "read"]

# In a query of the language these are words like others.
_OPERATORS = {"no": "NOT", "not": "NOT", "without": "NOT", "w/o": "NOT", "or": "OR"}


@dataclass(frozen=True, slots=True)
class Reading:
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

    def matching(self, count: Callable[[Node], int], vocabulary: Vocabulary | None) -> Reading:
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


def read(text: str, vocabulary: Vocabulary | None = None, *, literal: bool = False) -> Reading:
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
        return Reading(tree, text, notes=_operators(tree) if not literal else ())
    query = understood.query
    notes = tuple(f'"{said}" was left out: {reason}' for said, reason in understood.left_out)
    return Reading(parse(query, vocabulary), query, understood, notes=notes)


def _is_readable(text: str) -> bool:
    """Whether it is free text; what the language refuses outright is left to it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return len(text) <= MAX_LENGTH and is_free(text)


def _operators(tree: Node) -> tuple[str, ...]:
    """Words of a query in the language that were hardly meant as words."""
    words = [leaf.text.lower() for leaf in leaves(tree) if isinstance(leaf, Word)]
    meant = [word for word in dict.fromkeys(words) if word in _OPERATORS]
    return tuple(
        f'"{word}" is searched for as a word, as the query has signs of the query language; '
        f"to mean {_OPERATORS[word]}, write {_OPERATORS[word]}"
        for word in meant
    )
