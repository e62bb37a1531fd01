"""The Elasticsearch backend: searches on a server."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from indexer.database.text.documents import Document
from indexer.database.text.elasticsearch.answers import answering, check_whole, innermost
from indexer.database.text.elasticsearch.schema import check_version
from indexer.database.text.elasticsearch.settings import ElasticsearchSettings
from indexer.database.text.elasticsearch.vectors import check_dimensions
from indexer.database.vectors.shards import vector_keys
from indexer.errors import QueryError
from search.language.spelling import most_edits
from search.language.tree import (
    Node,
    narrow,
)
from search.language.wildcards import distance
from search.paging import Cursor, Sort
from search.results import FacetCount
from search.stores.backend import SUGGESTIONS, FoundImage, Page, ScoredDocument, TextQuery
from search.stores.elasticsearch.query import QueryBody, compile_both, compile_tree
from search.stores.elasticsearch.together import looked_up, looking_up

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

__all__ = ["ElasticsearchBackend"]

_SECONDS = 2.0
# Beyond the server's own limit, so that its answer "timed out" arrives.
_CLIENT_SECONDS = 5.0
# The server's `index.max_result_window`, and how many documents are fetched at a time: the window
# of a fused ranking and one more, which tells of a next page.
_WINDOW = 10_000
_FETCHED = 1_001
# Enough for a shard to count every value of a facet.
_SHARD_VALUES = 65_000
_KEEP_ALIVE = "1m"
# Seconds for which the contents of the index are taken as known.
_SECONDS_KNOWN = 5.0
_CANDIDATES = 50
# Sort values by which the server puts missing numbers last.
_LAST = {False: 2**63 - 1, True: -(2**63)}


class ElasticsearchBackend:
    """Searches in the index that an `ElasticsearchTextStore` fills.

    Hits of one score, or of one value of the field sorted by, stand in order of id. A cursor names
    the last hit's place in the order and nothing on the server, so it never runs out; documents
    written between two pages may move hits that are ordered by score.

    Parameters
    ----------
    client
        The official client, which `close` closes.
    index
        Name of the index or its alias.
    seconds
        How long the server may take for a query, which is refused then.
    """

    def __init__(self, client: Elasticsearch, index: str, seconds: float = _SECONDS) -> None:
        self._client = client.options(request_timeout=_CLIENT_SECONDS, max_retries=1)
        self._index = index
        self._seconds = seconds
        #: Lengths of vectors that the index was checked for; None if only its version was.
        self._checked: set[int | None] = set()

    @classmethod
    def connect(cls, index: str, default_url: str | None = None) -> ElasticsearchBackend:
        """The reading side of an index on the server that the settings name.

        Raises
        ------
        DatabaseError
            The settings name no server, or are malformed.
        """
        return cls(ElasticsearchSettings.load(default_url).client(), index)

    def search(self, asked: TextQuery) -> Page:
        """Images that match everything asked for.

        Raises
        ------
        QueryError
            The query takes the server too long or is too large for it.
        TextStoreUnavailable
            The server does not answer.
        """
        body: QueryBody = {
            "query": compile_both(asked.words, asked.conditions),
            "sort": _order(asked.sort),
            "track_scores": True,
        }
        if asked.after is not None:
            body["search_after"] = _place(asked.after, asked.sort)
        counting: QueryBody = {}
        for name in asked.facets:
            counting[name] = _terms_aggregation(name, asked.facet_size)
            if name in asked.chosen:
                # Facets of a choice count more images than are hits, maybe by a query with fewer
                # conditions.
                wider = {"filter": compile_both(asked.words, asked.conditions_without(name))}
                counting[name] = {
                    "global": {},
                    "aggregations": {
                        name: {**wider, "aggregations": {name: counting[name]}},
                    },
                }
        # One hit more than asked for tells whether there is a next page.
        limit = asked.limit
        answer, found = self._fetch(body, counting, asked.offset, limit + 1 if limit else 0)
        return Page(
            answer["hits"]["total"]["value"],
            [_found(hit, asked.sort) for hit in found[:limit]],
            {name: _counts(answer["aggregations"][name], name) for name in asked.facets},
            _cursor(found[limit - 1], asked.sort) if len(found) > limit > 0 else None,
        )

    def look_up(
        self, ids: Sequence[str], words: Node, conditions: Node
    ) -> dict[str, ScoredDocument]:
        """Those of some images that meet the conditions, with their scores where words match."""
        found: dict[str, ScoredDocument] = {}
        for start in range(0, len(ids), _WINDOW):
            part = ids[start : start + _WINDOW]
            found |= looked_up(self.ask(looking_up(part, words, conditions)))
        return found

    def keys(self, query: Node) -> npt.NDArray[np.int64]:
        """The FAISS keys of all images that match, ascending."""
        body = {
            "query": {"bool": {"filter": [compile_tree(narrow(query))]}},
            "size": _WINDOW,
            "track_total_hits": False,
            "docvalue_fields": ["id"],
            "stored_fields": "_none_",
        }
        ids = [*_ids(self.ask({**body, "sort": ["_doc"]}))]
        if len(ids) == _WINDOW:
            ids = [*self._all_ids({**body, "sort": ["_shard_doc"]})]
        found = vector_keys(ids)
        found.sort()
        return found

    def _all_ids(self, body: QueryBody) -> Iterator[str]:
        """The ids of all hits, of one moment."""
        with self._snapshot() as snapshot:
            while True:
                answer = self.ask(body, snapshot)
                yield from _ids(answer)
                hits = answer["hits"]["hits"]
                if len(hits) < _WINDOW:
                    return
                body = {**body, "search_after": hits[-1]["sort"]}

    def values(self, field: str) -> list[str]:
        """The values a keyword field has."""
        source: QueryBody = {"sources": [{"value": {"terms": {"field": field}}}], "size": _WINDOW}
        found: list[str] = []
        while True:
            body = {"size": 0, "aggregations": {"values": {"composite": source}}}
            answer = self.ask(body)["aggregations"]["values"]
            found += [bucket["key"]["value"] for bucket in answer["buckets"]]
            if "after_key" not in answer:
                return found
            source["after"] = answer["after_key"]

    def suggest(self, word: str) -> list[str]:
        """Words of annotations and reports that are spelt nearly so, likeliest first.

        Empty where the index knows the word itself, or a form of it.
        """
        if not word.isalnum():
            return []
        word = word.lower()
        near = {"size": _CANDIDATES, "suggest_mode": "always", "sort": "frequency"}
        near |= {"max_edits": most_edits(word)}
        known = [{"match_phrase": {name: word}} for name in ("annotation", "report")]
        fields = ("annotation.plain", "report.plain")
        suggesters = {name: {"term": {"field": name, **near}} for name in fields}
        body = {"query": {"bool": {"should": known}}, "size": 0, "track_total_hits": 1}
        answer = self.ask({**body, "suggest": {"text": word, **suggesters}})
        if answer["hits"]["total"]["value"]:
            return []
        found: dict[str, tuple[int, int]] = {}
        for (entry,) in answer["suggest"].values():
            for option in entry["options"]:
                off = distance(word, option["text"], 2)
                if option["text"].isalpha() and off is not None:
                    _, images = found.get(option["text"], (0, 0))
                    found[option["text"]] = (-off, images + option["freq"])
        return sorted(found, key=lambda term: (*found[term], term), reverse=True)[:SUGGESTIONS]

    @property
    def version(self) -> int:
        """Changes every few seconds: the server does not tell what changes."""
        return int(time.monotonic() / _SECONDS_KNOWN)

    def present(self) -> ElasticsearchBackend:
        """Itself: the server answers of its own moment."""
        return self

    def is_current(self) -> bool:
        """Always, as of `present`."""
        return True

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _fetch(
        self, body: QueryBody, facets: QueryBody, offset: int, size: int
    ) -> tuple[Any, list[dict[str, Any]]]:
        """The first answer, and `size` hits after `offset`, in as many requests as that takes."""
        body = {**body, "track_total_hits": True, "aggregations": facets}
        if "search_after" not in body and offset + min(size, _FETCHED) <= _WINDOW:
            body["from"], offset = offset, 0
        first: Any = None
        found: list[dict[str, Any]] = []
        while True:
            step = min(offset, _WINDOW) or min(size - len(found), _FETCHED)
            source = False if offset else ["document"]
            answer = self.ask({**body, "size": step, "_source": source})
            hits = answer["hits"]["hits"]
            first = first or answer
            if offset:
                offset -= step
            else:
                found += hits
            if len(hits) < step or (not offset and len(found) >= size):
                return first, found
            body |= {"search_after": hits[-1]["sort"], "from": 0}
            body |= {"track_total_hits": False, "aggregations": {}}

    def ask(
        self, body: QueryBody, snapshot: str | None = None, *, dimensions: int | None = None
    ) -> Any:
        """The server's answer to one search.

        Parameters
        ----------
        body
            As the server takes it, without a time-out.
        snapshot
            A point in time; None for the index as it is now.
        dimensions
            Length of the vectors that the index must have; None where it may have none.

        Raises
        ------
        DatabaseMismatch
            The index is of another version of cxrdex, or has other vectors or none.
        QueryError, TextStoreUnavailable
            As of `search`.
        """
        body, how = self._asked(body, _copy(body))
        if snapshot is not None:
            body["pit"] = {"id": snapshot, "keep_alive": _KEEP_ALIVE}
            del how["index"], how["preference"]
        else:
            how["include_named_queries_score"] = True
        with _answering(self._index):
            self._check(dimensions)
            answer = self._client.search(body=body, **how)
        return self._whole(answer)

    def ask_together(self, bodies: Sequence[QueryBody], *, dimensions: int) -> list[Any]:
        """The server's answers to several searches, in one request; see `ask`."""
        copy = _copy(*bodies)
        searches: list[QueryBody] = []
        for body in bodies:
            asked, how = self._asked(body, copy)
            searches += [how, asked]
        with _answering(self._index):
            self._check(dimensions)
            answer = self._client.msearch(searches=searches, include_named_queries_score=True)
        return [
            # Asked alone, a search says what is wrong with it, or is answered this time.
            self.ask(body, dimensions=dimensions) if "error" in one else self._whole(one)
            for body, one in zip(bodies, answer["responses"], strict=True)
        ]

    def _asked(self, body: QueryBody, copy: str) -> tuple[QueryBody, QueryBody]:
        """A search with its time-out, and how it is to be carried out."""
        how: QueryBody = {"index": self._index, "preference": copy}
        if "knn" not in body:
            # Words count as they do in the whole index, not as in the shard that has the document.
            how["search_type"] = "dfs_query_then_fetch"
        return {**body, "timeout": f"{round(1000 * self._seconds)}ms"}, how

    def _whole(self, answer: Any) -> Any:
        """An answer to one search, in which nothing is missing."""
        if answer["timed_out"]:
            raise QueryError(f"the query takes longer than {self._seconds:g} s; make it narrower")
        check_whole(answer, QueryError)
        return answer

    def _check(self, dimensions: int | None) -> None:
        """Refuse an index of another mapping version, or without the vectors asked for, once."""
        if self._checked >= {None, dimensions}:
            return
        answer = self._client.indices.get_mapping(index=self._index)
        for found in answer.values():
            check_version(found["mappings"].get("_meta", {}), self._index)
            if dimensions is not None:
                check_dimensions(found["mappings"], dimensions, self._index)
        self._checked |= {None, dimensions}

    @contextmanager
    def _snapshot(self) -> Iterator[str]:
        """The index as it is now, by the id of a point in time."""
        with _answering(self._index):
            opened = self._client.open_point_in_time(index=self._index, keep_alive=_KEEP_ALIVE)
        try:
            yield opened["id"]
        finally:
            with _answering(self._index):
                self._client.close_point_in_time(id=opened["id"])


@contextmanager
def _answering(index: str) -> Iterator[None]:
    """Turn what the client raises into our errors; what the server cannot parse is our query."""
    from elasticsearch import BadRequestError

    with answering(index):
        try:
            yield
        except BadRequestError as error:
            raise QueryError(f"Elasticsearch refuses the query: {innermost(error.body)}") from error


def _copy(*bodies: QueryBody) -> str:
    """Names the copies of shards that answer: always the same, as copies differ in scores."""
    asked = json.dumps([[body.get("query"), body.get("knn")] for body in bodies])
    return hashlib.sha256(asked.encode()).hexdigest()[:16]


def _found(hit: dict[str, Any], sort: Sort) -> FoundImage:
    document: Document = hit["_source"]["document"]
    score = float(hit["_score"])
    value = score if sort.by == "score" else document[sort.by]
    return FoundImage(
        document["id"], score, document["study"], document["patient"], value, lambda: document
    )


def _order(sort: Sort) -> list[QueryBody]:
    ties = {"id": {"order": "asc"}}
    if sort.by == "score":
        return [{"_score": {"order": "desc"}}, ties]
    direction = "desc" if sort.descending else "asc"
    if sort.by == "id":
        return [{"id": {"order": direction}}]
    how = {"order": direction, "missing": "_last", "numeric_type": "long"}
    return [{sort.by: how}, ties]


def _place(after: Cursor, sort: Sort) -> list[Any]:
    """A cursor as the server's `search_after`."""
    if sort.by == "id":
        return [after.id]
    return [_LAST[sort.descending] if after.value is None else after.value, after.id]


def _cursor(hit: dict[str, Any], sort: Sort) -> Cursor:
    value, image_id = hit["sort"][0], hit["sort"][-1]
    missing = sort.by not in ("score", "id") and value == _LAST[sort.descending]
    return Cursor(None if missing else value, image_id)


def _terms_aggregation(field: str, size: int) -> QueryBody:
    return {"terms": {"field": field, "size": size, "shard_size": max(size, _SHARD_VALUES)}}


def _counts(answer: dict[str, Any], field: str) -> list[FacetCount]:
    while "buckets" not in answer:
        answer = answer[field]
    return [FacetCount(bucket["key"], bucket["doc_count"]) for bucket in answer["buckets"]]


def _ids(answer: Any) -> Iterator[str]:
    return (hit["fields"]["id"][0] for hit in answer["hits"]["hits"])
