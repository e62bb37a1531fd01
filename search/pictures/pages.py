"""Pages of what is like a picture: the next one begins after the last row of the one before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from indexer.errors import QueryError
from search.paging import Cursor
from search.pictures.likeness import Neighbour
from search.request import SearchRequest

__all__ = ["DEEPEST", "NeighbourPage", "find_page"]

#: No page begins after more rows than these.
DEEPEST = 20_000


class NeighbourPage(NamedTuple):
    """Rows of a page, how many come before it, and the token of the next one, if there is one."""

    rows: Sequence[Neighbour]
    before: int
    after: str | None


def find_page(
    look: Callable[[int], list[Neighbour]], request: SearchRequest, sign: str
) -> NeighbourPage:
    """The page that a request asks for, by its number or by the token of the page before.

    Images that come into the database meanwhile move no row from one page to another: those that
    rank before the page are not shown on it, and are looked past.

    Parameters
    ----------
    look
        Gives as many of the rows that are most like the picture as are wanted, best first.
    sign
        Of the search, to which tokens are bound.

    Raises
    ------
    QueryError
        The token is damaged, or of another search.
    """
    after = None if request.after is None else Cursor.read(request.after, sign)
    before = (request.page - 1) * request.limit if after is None else after.rank
    if not 0 <= before <= DEEPEST:
        raise QueryError(f"what is like a picture is shown to its {DEEPEST:,}th row")
    # One row more tells whether there is another page.
    count = before + request.limit + 1
    while True:
        found = look(count)
        rest = found[before:] if after is None else _rest(found, after)
        if after is None or len(rest) > request.limit or len(found) < count:
            break
        count *= 2
    rest = [one for one in rest if one.likeness >= request.least_likeness]
    rows = rest[: request.limit]
    end = before + len(rows)
    following = None
    if len(rest) > len(rows) > 0 and end <= DEEPEST:
        following = Cursor(rows[-1].share, rows[-1].id, end).token(sign)
    return NeighbourPage(rows, before, following)


def _rest(found: Sequence[Neighbour], after: Cursor) -> list[Neighbour]:
    """The rows after the last one of a page; where that is gone, those that are less like."""
    for place, one in enumerate(found):
        if after.id in one.images:
            return [*found[place + 1 :]]
    if not isinstance(after.value, float | int):
        return [one for one in found if one.share is not None]
    return [one for one in found if one.share is not None and one.share < after.value]
