"""Words, filters and choices read in the terms of one database: its values, and what it can say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

from search.language.fields import FIELDS, Vocabulary
from search.language.filters import parse_choices, parse_filters
from search.language.lexicon import Lexicon, unsayable
from search.language.plain.reading import (
    QueryReading,
    ranked,
    read,
    read_sentence,
    worded,
)
from search.language.tree import Among, MatchAll, Node, conjunction
from search.language.withheld import without_reports
from search.models import Recent
from search.request import SearchRequest
from search.stores.backend import Backend

__all__ = ["DatabaseTerms", "Query"]

# This many readings of queries are kept, each of at most `_LONGEST` characters.
_KEPT = 512
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Query:
    """Words as they were understood.

    Parameters
    ----------
    typed
        The tree of what was asked for.
    asked
        The same, as far as nothing of it was given up.
    tree
        The same, widened by the lexicon.
    marked
        The same again, with the words in which labels and reports say its findings.
    scored
        The same again, with a score for them, and for what people and reports say.
    notes
        What the person who asked should know of it.
    understood
        How free text was read (`search.language.plain.reading.QueryReading.to_json`).
    """

    typed: Node
    asked: Node
    tree: Node
    marked: Node
    scored: Node
    notes: tuple[str, ...]
    understood: Mapping[str, Any] | None


class DatabaseTerms:
    """The values of a database's closed fields, and what its bundle can say.

    Parameters
    ----------
    text
        Its text store.
    sayable
        What its bundle can say, by field; empty where that is not known.
    """

    def __init__(self, text: Backend, sayable: Mapping[str, Sequence[str]]) -> None:
        closed = [field for field, kind in FIELDS.items() if kind == "closed"]
        self._sayable = sayable
        self._reports = True
        self._read = Recent(_KEPT)
        self.vocabulary = Vocabulary({field: text.values(field) for field in closed}, self._all)

    def without_reports(self) -> DatabaseTerms:
        """The same for someone who may not see the text of reports."""
        terms = copy(self)
        terms._reports = False
        return terms

    def _seen(self, tree: Node) -> Node:
        return tree if self._reports else without_reports(tree)

    def read(
        self,
        words: str,
        *,
        literal: bool = False,
        count: Callable[[Node], int] | None = None,
        counted: Hashable = None,
    ) -> Query:
        """Read words; who asks for the same again gets the same reading.

        Parameters
        ----------
        literal
            Take free text for a query in the language.
        count
            How many images match a tree that is widened; where nothing matches all of a free text,
            part of it is given up. None gives nothing up.
        counted
            What else these images have to meet.

        Raises
        ------
        QueryError
            They are a malformed query; the text says where.
        """
        if len(words) > _LONGEST:
            return self._read_anew(words, literal, count)
        # A store that cannot tell when it changes has terms for a few seconds.
        return self._read.get(
            (words, literal, count is None, counted, self._reports),
            lambda: self._read_anew(words, literal, count),
        )

    def _read_anew(self, words: str, literal: bool, count: Callable[[Node], int] | None) -> Query:
        reading = read(words, self.vocabulary, literal=literal)
        typed = reading.tree
        if count is not None:
            expand = Lexicon.load().expand
            reading = reading.matching(
                lambda tree: count(self._seen(expand(tree))), self.vocabulary
            )
        return self._query(reading, self._unsayable(reading.tree), typed)

    def read_sentence(self, sentence: str, *, literal: bool = False) -> Query | None:
        """Read a sentence that is searched for by its meaning; None where it is no plain English.

        Parameters
        ----------
        literal
            Leave it as it stands.
        """
        reading = read_sentence(sentence, self.vocabulary, literal=literal)
        return None if reading is None else self._query(reading)

    def _query(
        self, reading: QueryReading, notes: Iterable[str] = (), typed: Node | None = None
    ) -> Query:
        tree = self._seen(Lexicon.load().expand(reading.tree))
        marked, scored = tree, tree
        if reading.understood is not None:
            marked, scored = self._seen(worded(tree)), self._seen(ranked(tree))
        said = (*reading.notes, *notes)
        asked = reading.tree
        return Query(typed or asked, asked, tree, marked, scored, said, reading.to_json())

    def conditions(self, filters: Sequence[str]) -> Node:
        """The tree of all filters, widened by the lexicon.

        Raises
        ------
        QueryError
            One is malformed; the text quotes it.
        """
        if not filters:
            return MatchAll()
        return self._seen(Lexicon.load().expand(self._filters(filters)))

    def _filters(self, filters: Sequence[str]) -> Node:
        """The tree of all filters, parsed once for all that is asked of it."""
        if sum(map(len, filters)) > _LONGEST:
            return parse_filters(filters, self.vocabulary)
        parts = tuple(filters)
        return self._read.get(parts, lambda: parse_filters(parts, self.vocabulary))

    def bounds(self, request: SearchRequest) -> Node:
        """What all images found must meet, and what counts in no score.

        Raises
        ------
        QueryError
            A filter or a query is malformed.
        """
        bounds = self.conditions(request.filters)
        if request.within is not None:
            bounds = conjunction(bounds, self.read(request.within, literal=request.literal).tree)
        if request.among is not None:
            bounds = conjunction(bounds, Among(request.among))
        return bounds

    def chosen(self, choices: Iterable[str]) -> dict[str, Node]:
        """The conditions picked in facets; a choice is what a facet shows, so it is not widened.

        Raises
        ------
        QueryError
            One is malformed; the text quotes it.
        """
        return parse_choices(choices, self.vocabulary)

    def widened(
        self, asked: Node, filters: Sequence[str], facets: Collection[str]
    ) -> Iterator[str]:
        """Which values asked for have hits that their facet counts by a narrower name."""
        tree = conjunction(asked, self._filters(filters))
        for value, narrower in Lexicon.load().narrower(tree):
            if value.field in facets:
                more = f" and {len(narrower) - 3} more" if len(narrower) > 3 else ""
                yield (
                    f'{value.field}:"{value.value}" also finds {", ".join(narrower[:3])}{more}; '
                    "the facet counts each by its own name"
                )

    def _unsayable(self, asked: Node) -> Iterator[str]:
        words = {word for words in self._sayable.values() for word in words}
        if words and (missing := unsayable(asked, words)):
            names = ", ".join(f'"{name}"' for name in missing)
            yield f"no image is predicted to have {names}: only people and reports can say so"

    def _all(self) -> dict[str, list[str]]:
        """What the bundle and the reader of reports can say, by field."""
        from indexer.words.labeller_rules import FINDINGS

        read = [rule.disease for rule in FINDINGS]
        return {
            **{field: [*values] for field, values in self._sayable.items()},
            "disease": [*self._sayable.get("disease", ()), *read],
        }
