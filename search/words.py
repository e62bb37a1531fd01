"""Searches by words alone, which have no end to their pages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from search.highlights import Highlighter
from search.language.fields import check_facets
from search.language.lexicon import Lexicon
from search.language.tree import (
    Node,
    Term,
    Value,
    conjunction,
    disjunction,
    leaves,
    narrow,
    required_certainty,
    required_origin,
)
from search.paging import Cursor, Sort, signature
from search.request import Group, SearchRequest
from search.results import Hit, Reason, Results
from search.stores.backend import Backend, FoundImage, Page, TextQuery
from search.understanding import DatabaseTerms, Query

__all__ = ["search_words"]

# Hits asked for per study, as most studies have two images.
_HITS_PER_ROW = 2
_MAX_HITS = 1_000
# At most this many images of the studies on a page are looked up.
_MAX_IMAGES = 100_000


def search_words(request: SearchRequest, text: Backend, terms: DatabaseTerms) -> Results:
    """Images whose annotations and reports match the words, best first.

    Raises
    ------
    QueryError
        Query, filter, facet, sort or token is wrong; the text says where and what would be right.
    """
    found = _search(request, text, terms)
    query, first, after = found.query, found.asked, found.asked.after
    rows, following = [[one] for one in found.page.found], found.page.after
    if request.group is not None:
        start = (request.page - 1) * request.limit
        asked = _StoreSearch(text, first)
        rows, following = _rows(asked, request.group, request.limit, start, found.page, after)
    outright = first.conditions
    marked = narrow(query.marked, required_origin(outright), required_certainty(outright))
    highlighter = Highlighter(marked)
    hits = []
    for place, (best, *more) in enumerate(rows, (request.page - 1) * request.limit + 1):
        reason = Reason("words", None if after is not None else place, best.score)
        images = (best.id, *(other.id for other in more))
        document = best.document
        marks = highlighter.mark(document)
        hits.append(Hit(best.id, best.score, document, marks, (reason,), images))
    return Results(
        found.page.total,
        hits,
        found.page.facets,
        following.token(found.sign) if following is not None else None,
        # Words suggested for a misspelt one may come from reports.
        _suggestions(query.typed, text) if request.reports else {},
        (*query.notes, *terms.widened(query.asked, request.filters, first.facets)),
        query.understood,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """Words as they were read, what the text store was asked for them, and its answer.

    Parameters
    ----------
    sign
        Checksum of what was asked, to which the tokens of pages are bound.
    """

    query: Query
    asked: TextQuery
    sign: str
    page: Page


def _search(request: SearchRequest, text: Backend, terms: DatabaseTerms) -> _Found:
    facets = check_facets(request.facets)
    order = Sort.parse(request.sort)
    conditions = terms.bounds(request)
    chosen = terms.chosen(request.choices)
    grouped = request.group is not None
    start = (request.page - 1) * request.limit

    def search(query: Query) -> _Found:
        sign = signature(query.scored, conditions, sorted(chosen.items()), order, request.group)
        asked = TextQuery(
            query.scored,
            conditions,
            facets=facets,
            facet_size=request.facet_size,
            limit=_hits_for(start + request.limit) if grouped else request.limit,
            offset=0 if grouped else start,
            after=Cursor.read(request.after, sign) if request.after is not None else None,
            sort=order,
            chosen=chosen,
        )
        return _Found(query, asked, sign, text.search(asked))

    def count(tree: Node) -> int:
        return text.search(TextQuery(tree, conditions, limit=0, chosen=chosen)).total

    words, literal = request.words or "", request.literal
    if request.after is None:
        # Most words match something, so that it need not be counted first.
        found = search(terms.read(words, literal=literal))
        if found.page.total:
            return found
    # A checksum, as the ids of many images would take more memory than what is read.
    counted = signature(conditions, sorted(chosen.items()))
    return search(terms.read(words, literal=literal, count=count, counted=counted))


@dataclass(frozen=True, slots=True)
class _StoreSearch:
    """A search in one text store whose pages are wanted."""

    text: Backend
    query: TextQuery

    def page(self, limit: int, offset: int = 0, after: Cursor | None = None) -> Page:
        """Some hits, without facets."""
        page = replace(self.query, facets=(), limit=limit, offset=offset, after=after)
        return self.text.search(page)

    def of_groups(self, group: Group, owners: Iterable[str]) -> dict[str, list[FoundImage]]:
        """All hits of some studies or patients, in order."""
        node = disjunction(*(Value(group, owner) for owner in owners))
        some = replace(self.query, filters=conjunction(self.query.filters, node))
        found: dict[str, list[FoundImage]] = {}
        for one in _StoreSearch(self.text, some).page(_MAX_IMAGES).found:
            found.setdefault(_owner(one, group), []).append(one)
        return found


def _rows(
    asked: _StoreSearch, group: Group, limit: int, skipped: int, page: Page, after: Cursor | None
) -> tuple[list[list[FoundImage]], Cursor | None]:
    """Rows of a study's hits, each where its first hit stands, and where the next page begins.

    A study whose first hit stands before the page is met again by its other hits, and told by
    asking for all of its hits.

    Parameters
    ----------
    skipped
        Rows to leave out first.
    page, after
        The first hits, and the last one before them.
    """
    rows: list[list[FoundImage]] = []
    rank = after.rank if after is not None else 0
    while True:
        if not page.found:
            return rows, None
        groups = asked.of_groups(group, dict.fromkeys(_owner(one, group) for one in page.found))
        for one in page.found:
            row = groups[_owner(one, group)]
            if row[0].id == one.id:
                if len(rows) == limit:
                    return rows, after
                if skipped:
                    skipped -= 1
                else:
                    rows.append(row)
            rank += 1
            after = Cursor(one.value, one.id, rank)
        if page.after is None:
            return rows, None
        page = asked.page(_hits_for(skipped + limit - len(rows)), 0, after)


def _owner(one: FoundImage, group: Group) -> str:
    return one.study if group == "study" else one.patient


def _hits_for(rows: int) -> int:
    return min(_HITS_PER_ROW * rows + 1, _MAX_HITS)


def _suggestions(typed: Node, text: Backend) -> dict[str, list[str]]:
    """Near words for each plain word that neither the text store nor the lexicon knows.

    One that is denied is looked at, too: mistyped, it leaves out nothing.
    """
    terms = dict.fromkeys(leaf.text for leaf in leaves(typed) if isinstance(leaf, Term))
    words = [word for word in terms if not Lexicon.load().senses(word)]
    near = {word: text.suggest(word) for word in words}
    return {word: found for word, found in near.items() if found}
