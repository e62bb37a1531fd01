"""Pages of hits in one stable order, however deep: by score, by a field, or by id."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from search.paging import Cursor, Sort
from search.stores.tantivy.query import filtered, keys_between, numbers_between

if TYPE_CHECKING:
    import tantivy

__all__ = ["HitPlace", "Pager"]

# Hits looked at beyond a page, to hold the groups of equal score at its ends.
_MARGIN = 100
# The first slice of the id range is chosen to hold about this many hits.
_SLICE = 256
_LARGEST_SLICE = 16_384
# At most this many of the best hits are remembered.
_KEPT = 400
_KEYS = 1 << 64
# Up to this many ids are looked up one by one.
_MAX_SINGLE_LOOKUPS = 2_000
_VALUES = 65_000
# Scores that differ in the last bits only are equal: sums may be made in any order.
_DIGITS = 5


class HitPlace(NamedTuple):
    """A hit in the order: its sort value, its id as a number, and where it lies."""

    value: float | int | None
    key: int
    address: tantivy.DocAddress

    @property
    def id(self) -> str:
        """Its image id."""
        return f"{self.key:016x}"


class _Scored(NamedTuple):
    """A hit in a window of ranks."""

    score: float
    key: int
    address: tantivy.DocAddress


class Pager:
    """Finds the pages of one query.

    Parameters
    ----------
    searcher
        One state of the index.
    query
        What hits must match.
    uniform
        Whether all hits have one score, so that the order is that of the ids.

    Threads may share it: what it remembers is the same whoever finds it first.
    """

    def __init__(self, searcher: tantivy.Searcher, query: tantivy.Query, uniform: bool) -> None:
        self._searcher = searcher
        self.query = query
        self._uniform = uniform
        self._total: int | None = None
        #: The best hits, as many as were looked at.
        self._best: list[_Scored] = []

    @property
    def total(self) -> int:
        """Hits on all pages; counted along with the first page where that was asked for before."""
        if self._total is None:
            self._total = self._count(self.query)
        return self._total

    def _count(self, query: tantivy.Query) -> int:
        found: Any = self._searcher.search(query, 1)
        return int(found.count)

    def page(
        self, sort: Sort, limit: int, offset: int = 0, after: Cursor | None = None
    ) -> tuple[list[HitPlace], Cursor | None]:
        """The hits of a page and, unless it is the last one, the cursor to the next."""
        before = after.rank if after is not None else 0
        if offset + limit > _MARGIN:
            offset = min(offset, self.total)
            limit = min(limit, self.total - offset)
        # One hit more tells whether there is another page.
        places = list(itertools.islice(self._after(sort, limit + 1, offset, after), limit + 1))
        more, places = len(places) > limit, places[:limit]
        if not more or not places:
            return places, None
        last = places[-1]
        value = last.id if sort.by == "id" else last.value
        return places, Cursor(value, last.id, before + offset + len(places))

    def _after(
        self, sort: Sort, wanted: int, offset: int, after: Cursor | None
    ) -> Iterator[HitPlace]:
        key = int(after.id, 16) if after is not None else None
        if sort.by == "id" or (sort.by == "score" and self._uniform):
            value = 1.0 if sort.by == "score" else None
            found = self._by_key(self.query, wanted, offset, key, sort.descending)
            return (HitPlace(value, k, address) for k, address in found)
        if sort.by == "score":
            places = self._by_score(wanted + offset, after)
            return itertools.islice(places, offset, None)
        return self._by_field(sort, wanted, offset, after)

    # ---- by id ----------------------------------------------------------------------------------

    def _by_key(
        self,
        query: tantivy.Query,
        limit: int,
        offset: int = 0,
        key: int | None = None,
        descending: bool = False,
    ) -> list[tuple[int, tantivy.DocAddress]]:
        import tantivy

        if key is not None:
            low, high = (0, key - 1) if descending else (key + 1, _KEYS - 1)
            if low > high:
                return []
            query = filtered(query, keys_between(low, high))
        order = tantivy.Order.Desc if descending else tantivy.Order.Asc
        first = query is self.query and self._total is None
        found: Any = self._searcher.search(
            query, max(limit, 1), count=first, order_by_field="key", order=order, offset=offset
        )
        if first:
            self._total = int(found.count)
        return list(found.hits[:limit])

    # ---- by a field -----------------------------------------------------------------------------

    def _by_field(
        self, sort: Sort, wanted: int, offset: int, after: Cursor | None
    ) -> Iterator[HitPlace]:
        """Value by value, and the images without one at the end."""
        request = {
            "values": {"terms": {"field": sort.by, "size": _VALUES}},
            "total": {"value_count": {"field": "key"}},
        }
        answer = self._searcher.aggregate(self.query, request)
        self._total, buckets = int(answer["total"]["value"]), answer["values"]["buckets"]
        counts: dict[int | None, int] = {
            int(bucket["key"]): int(bucket["doc_count"]) for bucket in buckets
        }
        groups: list[int | None] = sorted(counts, key=int, reverse=sort.descending)  # type: ignore[arg-type]
        groups.append(None)
        counts[None] = self.total - sum(counts.values())
        if after is not None:
            groups = [v for v in groups if _not_before(v, after.value, sort.descending)]
        for value in groups:
            key = int(after.id, 16) if after is not None and value == after.value else None
            if key is None and offset >= counts[value]:
                offset -= counts[value]
                continue
            members = self._of_value(sort.by, value)
            if key is None:
                found, offset = self._by_key(members, wanted, offset), 0
            else:
                found = self._by_key(members, wanted + offset, 0, key)
                found, offset = found[offset:], max(offset - len(found), 0)
            yield from (HitPlace(value, k, address) for k, address in found)

    def _of_value(self, field: str, value: int | None) -> tantivy.Query:
        import tantivy

        if value is not None:
            return filtered(self.query, numbers_between(field, value, value))
        without = (tantivy.Occur.MustNot, tantivy.Query.exists_query(field))
        return tantivy.Query.boolean_query([(tantivy.Occur.Must, self.query), without])

    # ---- by score -------------------------------------------------------------------------------

    def _by_score(self, wanted: int, after: Cursor | None) -> Iterator[HitPlace]:
        """Group by group of equal score.

        tantivy knows the ranks of hits by score only. A window of ranks around the page shows its
        groups; one that reaches beyond the window is looked through slice by slice of the ids.
        """
        score, key, rank = math.inf, -1, 0
        if after is not None:
            score, key, rank = float(after.value or 0.0), int(after.id, 16), after.rank
        start = self._start(score, rank)
        size = rank - start + wanted + _MARGIN
        while self._total is None or start < self._total:
            window = self._window(start, size)
            for value, members in itertools.groupby(window, key=lambda hit: hit.score):
                group = list(members)
                if value > score or (value == score and key < 0):
                    continue
                floor = key if value == score else -1
                begins = start > 0 and group[0] is window[0]
                if begins or (start + size < self.total and group[-1] is window[-1]):
                    ordered = self._of_score(value, floor, wanted)
                else:
                    ordered = iter(sorted(hit for hit in group if hit.key > floor))
                yield from (HitPlace(*hit) for hit in ordered)
                # This group is done, though the next window may begin inside it.
                score, key = value, -1
            start += size

    def _start(self, score: float, rank: int) -> int:
        """A rank before the page at which no hit stands that is worse than `score`."""
        start, step = max(rank - _MARGIN, 0), _MARGIN
        # Hits may have gone since the cursor was made, so that the page's place is further up.
        while start and (start >= self.total or self._window(start, 1)[0].score < score):
            start, step = max(start - step, 0), 2 * step
        return start

    def _window(self, start: int, size: int) -> list[_Scored]:
        first = self._total is None
        if not first:
            size = min(size, self.total - start)
        if start + size <= len(self._best):
            return self._best[start : start + size]
        found: Any = self._searcher.search(self.query, size, count=first, offset=start)
        if first:
            self._total = int(found.count)
        window = self._scored(found.hits)
        if not start and size <= _KEPT:
            self._best = window
        return window

    def _scored(self, hits: list[tuple[float, tantivy.DocAddress]]) -> list[_Scored]:
        keys = self._searcher.fast_field_values("key", [address for _, address in hits])
        return [
            _Scored(_rounded(score), int(key or 0), address)
            for (score, address), key in zip(hits, keys, strict=True)
        ]

    def _of_score(self, score: float, floor: int, wanted: int) -> Iterator[_Scored]:
        """The hits of one score in order of id, after one of them."""
        low = floor + 1
        width = max(_KEYS * _SLICE // self.total, 1)
        while low < _KEYS:
            high = min(low + width, _KEYS) - 1
            few = self._searcher.num_docs * (high - low) < _MAX_SINGLE_LOOKUPS * _KEYS
            part = filtered(self.query, keys_between(low, high, few=few))
            slice_: Any = self._searcher.search(part, 4 * _SLICE)
            if slice_.count > 4 * _SLICE:
                slice_ = self._searcher.search(part, slice_.count)
            found = [hit for hit in self._scored(slice_.hits) if hit.score == score]
            yield from sorted(found)
            if len(found) < wanted and slice_.count < _LARGEST_SLICE:
                width *= 2
            low = high + 1


def _rounded(score: float) -> float:
    return float(f"{score:.{_DIGITS}g}")


def _not_before(value: int | None, other: object, descending: bool) -> bool:
    """Whether the group of one value does not come before that of another."""
    if value is None or not isinstance(other, int):
        return value is None or isinstance(other, int)
    return value <= other if descending else value >= other
