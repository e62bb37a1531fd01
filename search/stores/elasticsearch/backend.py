"""The Elasticsearch backend: the query tree compiled to the query DSL, node by node."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from indexer.annotation import Origin
from indexer.archive.reports import SECTIONS
from indexer.database.text.elasticsearch.answers import answering
from indexer.database.text.elasticsearch.schema import check_version
from indexer.database.text.elasticsearch.settings import ElasticsearchSettings
from indexer.database.text.schema import field_of
from indexer.database.vectors.shards import keys_of
from indexer.errors import QueryError
from search.language.shapes import distance
from search.language.tree import (
    And,
    Boost,
    Finding,
    Fuzzy,
    MatchAll,
    Node,
    Not,
    Or,
    Phrase,
    Prefix,
    Present,
    Range,
    Value,
    Wildcard,
    Word,
    conjunction,
    narrow,
    origin_of,
)
from search.language.vocabulary import FIELDS
from search.paging import Cursor, Sort
from search.results import FacetCount
from search.stores.backend import BY_SCORE, NOTHING_CHOSEN, Page

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

__all__ = ["ElasticsearchBackend"]

_Query: TypeAlias = dict[str, Any]

# A word of an annotation says more of an image than a word of its report.
_ANNOTATION_WEIGHT = 3.0
_SECONDS = 2.0
# Beyond the server's own limit, so that its answer "timed out" arrives.
_CLIENT_SECONDS = 5.0
# The server's index.max_result_window, and documents fetched at a time.
_WINDOW = 10_000
_FETCHED = 1_000
# Enough for a shard to count every value of a facet.
_SHARD_VALUES = 65_000
_KEEP_ALIVE = "1m"
_SUGGESTIONS = 5
_CANDIDATES = 50
_ONE_OFF = 5
_LONGEST_FUZZY = 64
# Sort values by which the server puts missing numbers last.
_LAST = {False: 2**63 - 1, True: -(2**63)}
_BOOSTS = (1e-9, 1e9)


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
        self._checked = False

    @classmethod
    def connect(cls, index: str, default_url: str | None = None) -> ElasticsearchBackend:
        """The reading side of an index on the server that the settings name.

        Raises
        ------
        DatabaseError
            The settings name no server, or are malformed.
        """
        return cls(ElasticsearchSettings.load(default_url).client(), index)

    def search(
        self,
        query: Node,
        filters: Node,
        *,
        facets: Sequence[str] = (),
        facet_size: int = 20,
        limit: int = 20,
        offset: int = 0,
        after: Cursor | None = None,
        sort: Sort = BY_SCORE,
        chosen: Mapping[str, Node] = NOTHING_CHOSEN,
    ) -> Page:
        """Images that match all that is given; see `Backend.search`.

        Raises
        ------
        QueryError
            The query takes the server too long or is too large for it.
        TextStoreUnavailable
            The server does not answer.
        """
        body: _Query = {
            "query": _both(query, conjunction(filters, *chosen.values())),
            "sort": _order(sort),
            "track_scores": True,
        }
        if after is not None:
            body["search_after"] = _place(after, sort)
        counting: _Query = {}
        for name in facets:
            counting[name] = _values_of(name, facet_size)
            if name in chosen:
                # Over more images than are hits, and maybe of a query that is narrowed less.
                others = (node for facet, node in chosen.items() if facet != name)
                wider = {"filter": _both(query, conjunction(filters, *others))}
                counting[name] = {
                    "global": {},
                    "aggregations": {
                        name: {**wider, "aggregations": {name: counting[name]}},
                    },
                }
        # One hit more than asked for tells whether there is a next page.
        answer, found = self._fetch(body, counting, offset, limit + 1 if limit else 0)
        return Page(
            answer["hits"]["total"]["value"],
            [(float(hit["_score"]), hit["_source"]["document"]) for hit in found[:limit]],
            {name: _counts(answer["aggregations"][name], name) for name in facets},
            _cursor(found[limit - 1], sort) if len(found) > limit > 0 else None,
        )

    def keys(self, query: Node) -> npt.NDArray[np.int64]:
        """The FAISS keys of all images that match, ascending."""
        body = {
            "query": {"bool": {"filter": [_compile(narrow(query))]}},
            "size": _WINDOW,
            "track_total_hits": False,
            "docvalue_fields": ["id"],
            "stored_fields": "_none_",
        }
        ids = [*_ids(self._ask({**body, "sort": ["_doc"]}))]
        if len(ids) == _WINDOW:
            ids = [*self._all_ids({**body, "sort": ["_shard_doc"]})]
        found = keys_of(ids)
        found.sort()
        return found

    def _all_ids(self, body: _Query) -> Iterator[str]:
        """The ids of all hits, of one moment."""
        with self._snapshot() as snapshot:
            while True:
                answer = self._ask(body, snapshot)
                yield from _ids(answer)
                hits = answer["hits"]["hits"]
                if len(hits) < _WINDOW:
                    return
                body = {**body, "search_after": hits[-1]["sort"]}

    def values(self, field: str) -> list[str]:
        """The values a keyword field has."""
        source: _Query = {"sources": [{"value": {"terms": {"field": field}}}], "size": _WINDOW}
        found: list[str] = []
        while True:
            body = {"size": 0, "aggregations": {"values": {"composite": source}}}
            answer = self._ask(body)["aggregations"]["values"]
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
        near |= {"max_edits": 1 if len(word) <= _ONE_OFF else 2}
        known = [{"match_phrase": {name: word}} for name in ("annotation", "report")]
        fields = ("annotation.plain", "report.plain")
        suggesters = {name: {"term": {"field": name, **near}} for name in fields}
        body = {"query": {"bool": {"should": known}}, "size": 0, "track_total_hits": 1}
        answer = self._ask({**body, "suggest": {"text": word, **suggesters}})
        if answer["hits"]["total"]["value"]:
            return []
        found: dict[str, tuple[int, int]] = {}
        for (entry,) in answer["suggest"].values():
            for option in entry["options"]:
                off = distance(word, option["text"], 2)
                if option["text"].isalpha() and off is not None:
                    _, images = found.get(option["text"], (0, 0))
                    found[option["text"]] = (-off, images + option["freq"])
        return sorted(found, key=lambda term: (*found[term], term), reverse=True)[:_SUGGESTIONS]

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _fetch(
        self, body: _Query, facets: _Query, offset: int, size: int
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
            answer = self._ask({**body, "size": step, "_source": source})
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

    def _ask(self, body: _Query, snapshot: str | None = None) -> Any:
        """The server's answer to one search, of the index as it is now or of a snapshot."""
        body = {**body, "timeout": f"{round(1000 * self._seconds)}ms"}
        more: dict[str, Any] = {}
        if snapshot is not None:
            body["pit"] = {"id": snapshot, "keep_alive": _KEEP_ALIVE}
        else:
            # Always the same copy of a shard for a query, as copies differ a little in scores.
            copy = hashlib.sha256(json.dumps(body.get("query")).encode()).hexdigest()[:16]
            more = {"index": self._index, "preference": copy}
        with _answering(self._index):
            self._check()
            answer = self._client.search(body=body, **more)
        if answer["timed_out"]:
            raise QueryError(f"the query takes longer than {self._seconds:g} s; make it narrower")
        return answer

    def _check(self) -> None:
        """Refuse an index of another mapping version, once."""
        if not self._checked:
            answer = self._client.indices.get_mapping(index=self._index)
            for found in answer.values():
                check_version(found["mappings"].get("_meta", {}), self._index)
            self._checked = True

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
            raise QueryError(f"Elasticsearch refuses the query: {_reason(error)}") from error


def _reason(error: Any) -> str:
    """The innermost reason the server gives, as one short line."""
    found = error.body.get("error") if isinstance(error.body, dict) else None
    text = str(error.message)
    while isinstance(found, dict):
        text = str(found.get("reason") or text)
        found = found.get("caused_by") or next(iter(found.get("root_cause", ())), None)
    return " ".join(text.split())[:200]


def _order(sort: Sort) -> list[_Query]:
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


def _values_of(field: str, size: int) -> _Query:
    return {"terms": {"field": field, "size": size, "shard_size": max(size, _SHARD_VALUES)}}


def _counts(answer: dict[str, Any], field: str) -> list[FacetCount]:
    while "buckets" not in answer:
        answer = answer[field]
    return [FacetCount(bucket["key"], bucket["doc_count"]) for bucket in answer["buckets"]]


def _both(query: Node, conditions: Node) -> _Query:
    """Both trees as one query, in which the conditions weigh nothing."""
    must = [_compile(narrow(query, origin_of(conditions)))]
    return {"bool": {"must": must, "filter": [_compile(narrow(conditions, origin_of(query)))]}}


def _compile(node: Node) -> _Query:
    """The query DSL of a tree that has been narrowed."""
    return _Images().compile(node, 1.0)


class _Compiler:
    """One method per kind of node; what a field is called depends on where the tree holds."""

    def exact(self, field: str, origin: Origin | None) -> str:
        """The keyword or number field of the index."""
        raise NotImplementedError

    def texts(self, field: str | None, origin: Origin | None) -> list[tuple[str, float]]:
        """The text fields of the index, with their weights."""
        raise NotImplementedError

    def present(self, field: str, origin: Origin | None) -> _Query:
        """A condition that the field has a value."""
        return {"exists": {"field": self.exact(field, origin)}}

    def compile(self, node: Node, boost: float) -> _Query:
        match node:
            case MatchAll():
                return {"match_all": {"boost": boost}}
            case And(nodes):
                return self._all(nodes, boost)
            case Or(nodes):
                should = [self.compile(child, 1.0) for child in nodes]
                return {"bool": {"should": should, "boost": boost}}
            case Not():
                return self._all((node,), boost)
            case Boost(child, factor):
                return self.compile(child, min(max(boost * factor, _BOOSTS[0]), _BOOSTS[1]))
            case Word(text, field, origin) | Phrase(text, field, origin):
                # A word may be several tokens (x-ray), which stand side by side in the text too.
                return self._text(field, origin, boost, lambda weight: _phrase(text, weight))
            case Prefix(text, field, origin):
                return self._shape("prefix", {"value": text}, field, origin, boost)
            case Wildcard(pattern, field, origin):
                return self._shape("wildcard", {"value": pattern}, field, origin, boost)
            case Fuzzy(text, field, distance, origin):
                if len(text) > _LONGEST_FUZZY:
                    raise QueryError(f"a fuzzy word has at most {_LONGEST_FUZZY} letters")
                how = {"value": text, "fuzziness": distance, "rewrite": "constant_score"}
                return self._shape("fuzzy", how, field, origin, boost)
            case Value(field, value, origin):
                term = {"term": {self.exact(field, origin): value}}
                return _constant(term, boost)
            case Present(field, origin):
                return _constant(self.present(field, origin), boost)
            case Range(field, low, high):
                bounds = {k: v for k, v in (("gte", low), ("lte", high)) if v is not None}
                return _constant({"range": {self.exact(field, None): bounds}}, boost)
            case Finding(child, origin):
                return _finding(child, origin, boost)

    def _all(self, nodes: Sequence[Node], boost: float) -> _Query:
        nodes = [_without_double_negation(node) for node in nodes]
        if len(nodes) == 1 and not isinstance(nodes[0], Not):
            return self.compile(nodes[0], boost)
        must = [self.compile(node, 1.0) for node in nodes if not isinstance(node, Not)]
        without = [self.compile(node.node, 1.0) for node in nodes if isinstance(node, Not)]
        clauses: _Query = {"must": must or [{"match_all": {}}], "boost": boost}
        if without:
            clauses["must_not"] = without
        return {"bool": clauses}

    def _text(
        self,
        field: str | None,
        origin: Origin | None,
        boost: float,
        query: Callable[[float], tuple[str, _Query]],
        suffix: str = "",
    ) -> _Query:
        clauses = []
        for name, weight in self.texts(field, origin):
            kind, how = query(weight * boost)
            clauses.append({kind: {name + suffix: how}})
        return clauses[0] if len(clauses) == 1 else {"bool": {"should": clauses}}

    def _shape(
        self, kind: str, how: _Query, field: str | None, origin: Origin | None, boost: float
    ) -> _Query:
        """A query by the letters of a term: in text, of its words as they are written."""
        if field is not None and FIELDS[field] != "text":
            return {kind: {self.exact(field, origin): {**how, "boost": boost}}}
        return self._text(
            field, origin, boost, lambda weight: (kind, {**how, "boost": weight}), ".plain"
        )


class _Images(_Compiler):
    """Conditions on an image."""

    def exact(self, field: str, origin: Origin | None) -> str:
        return field_of(field, origin)

    def texts(self, field: str | None, origin: Origin | None) -> list[tuple[str, float]]:
        annotation = self.exact("annotation", origin)
        if field == "annotation" or (field is None and origin):
            return [(annotation, 1.0)]
        if field is not None:
            return [(field, 1.0)]
        return [(annotation, _ANNOTATION_WEIGHT), ("statement", 1.0)]

    def present(self, field: str, origin: Origin | None) -> _Query:
        if field in SECTIONS:
            return {"term": {"section": field}}
        if field in ("id", "study", "patient"):
            return {"match_all": {}}
        stands_in = {"report": "section", "annotation": "disease"}.get(field, field)
        return super().present(stands_in, origin)


class _Findings(_Compiler):
    """Conditions on one finding of an image, its parts together."""

    def exact(self, field: str, origin: Origin | None) -> str:
        return f"finding.{field}"

    def texts(self, field: str | None, origin: Origin | None) -> list[tuple[str, float]]:
        return [("finding.text", 1.0)]


def _finding(node: Node, origin: Origin | None, boost: float) -> _Query:
    conditions: list[_Query] = [{"term": {"finding.status": "affirmed"}}]
    if origin:
        conditions.append({"term": {"finding.origin": origin}})
    inner = {"bool": {"filter": [_Findings().compile(node, 1.0), *conditions]}}
    return _constant({"nested": {"path": "finding", "query": inner}}, boost)


def _phrase(text: str, weight: float) -> tuple[str, _Query]:
    return "match_phrase", {"query": text, "boost": weight}


def _constant(query: _Query, boost: float) -> _Query:
    return {"constant_score": {"filter": query, "boost": boost}}


def _without_double_negation(node: Node) -> Node:
    while isinstance(node, Not) and isinstance(node.node, Not):
        node = node.node.node
    return node


def _ids(answer: Any) -> Iterator[str]:
    return (hit["fields"]["id"][0] for hit in answer["hits"]["hits"])
