"""Searches by words alone, which have no end to their pages."""

from __future__ import annotations

from search.facets import check_facets
from search.highlights import Highlighter
from search.language.tree import Node, Word, certainty_of, conjunction, leaves, narrow, origin_of
from search.paging import Cursor, Sort, signature
from search.request import SearchRequest
from search.results import Hit, Results
from search.stores.backend import Backend
from search.understanding import Terms

__all__ = ["search_words"]


def search_words(request: SearchRequest, text: Backend, terms: Terms) -> Results:
    """Images whose annotations and reports match the words, best first.

    Raises
    ------
    QueryError
        Query, filter, facet, sort or token is wrong; the text says where and what would be right.
    """
    facets = check_facets(request.facets)
    order = Sort.parse(request.sort)
    conditions = terms.conditions(request.filters)
    chosen = terms.chosen(request.choices)
    query = terms.read(
        request.words or "",
        literal=request.literal,
        count=lambda tree: text.search(tree, conditions, limit=0, chosen=chosen).total,
    )
    sign = signature(query.scored, conditions, sorted(chosen.items()), order)
    found = text.search(
        query.scored,
        conditions,
        facets=facets,
        facet_size=request.facet_size,
        limit=request.limit,
        offset=(request.page - 1) * request.limit,
        after=Cursor.read(request.after, sign) if request.after is not None else None,
        sort=order,
        chosen=chosen,
    )
    asked = conjunction(conditions, *chosen.values())
    highlighter = Highlighter(narrow(query.scored, origin_of(asked), certainty_of(asked)))
    return Results(
        found.total,
        [Hit(d["id"], score, d, highlighter.mark(d)) for score, d in found.hits],
        found.facets,
        found.after.token(sign) if found.after is not None else None,
        _suggestions(query.asked, text),
        (*query.notes, *terms.widened(query.asked, request.filters, facets)),
        query.understood,
    )


def _suggestions(asked: Node, text: Backend) -> dict[str, list[str]]:
    """Near words for each plain word that the text store does not know."""
    words = {leaf.text: None for leaf in leaves(asked, positive=True) if isinstance(leaf, Word)}
    near = {word: text.suggest(word) for word in words}
    return {word: found for word, found in near.items() if found}
