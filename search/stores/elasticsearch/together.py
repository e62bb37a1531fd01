"""One request for words, vectors and annotations: what is found by each, told apart by names.

The server's own fusion of rankings (`rrf`) is not in the basic licence, and does not know the rule
of `search.hybrid.fusion`. So one search matches what any of its parts finds, and the answer names
for every hit the parts that found it, with their scores. Images by their annotations have an order
of their own, and so a search of their own in the same request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from indexer.database.text.documents import Document
from indexer.database.text.elasticsearch.vectors import FIELD
from search.language.tree import Node, narrow
from search.stores.backend import ScoredDocument
from search.stores.elasticsearch.query import QueryBody, compile_both, compile_tree
from search.stores.matches import MAX_ANNOTATIONS, Matches, Meant

__all__ = [
    "TogetherAnswer",
    "looked_up",
    "looking_up",
    "read_answers",
    "searches_together",
]

_NEAREST, _MEANING, _NAMED, _WORDS = "nearest", "meaning", "named", "words"
# A boost that no score of words can reach, so that images found by vector or by id come first and
# none of them is cut off.
_FIRST = 1e30
# And one that is nothing beside any other score.
_NOTHING = 1e-30
# A vector's inner product with another; images without a vector come last.
_INNER_PRODUCT = f"""
    if (doc['{FIELD}'].size() == 0) {{ return -1e300; }}
    float[] vector = doc['{FIELD}'].vectorValue;
    double sum = 0;
    for (int i = 0; i < vector.length; i++) {{ sum += vector[i] * params.direction[i]; }}
    return sum;
"""


@dataclass(frozen=True, slots=True)
class TogetherAnswer:
    """What one request brought.

    Parameters
    ----------
    nearest
        Ids of the images nearest to the vector.
    best
        As of `Matches.best`.
    looked
        Of all images found, and of those asked for by their ids.
    near_meaning, annotated
        As of `Matches`; empty where they were not asked for.
    """

    nearest: list[str]
    best: list[tuple[float, Document]]
    looked: dict[str, ScoredDocument | None]
    near_meaning: list[str]
    annotated: list[str]


def searches_together(
    nearest: QueryBody, meaning: QueryBody | None, matches: Matches, named: Sequence[str]
) -> list[QueryBody]:
    """What finds the images nearest to a vector, the best matches, and what is meant.

    Parameters
    ----------
    nearest
        The part of the vector.
    meaning
        That of the vector which `matches` means; None where that is `nearest`, or there is none.
    named
        Ids; those are found beside that meet the conditions.
    """
    parts = [_words(matches)] if matches.count else []
    if named:
        filter_ = _among(named, matches.conditions)
        parts.append({"constant_score": {"filter": filter_, "boost": _FIRST, "_name": _NAMED}})
    vectors = [{**nearest, "boost": _FIRST, "_name": _NEAREST}]
    if meaning is not None:
        vectors.append({**meaning, "boost": _FIRST, "_name": _MEANING})
    first: QueryBody = {
        **_ANSWER,
        "knn": vectors,
        "size": sum(part["k"] for part in vectors) + len(named) + matches.count,
    }
    if parts:
        first["query"] = {"bool": {"should": parts}}
    searches = [first]
    if matches.meant is not None and matches.meant.annotations:
        searches.append(_annotated(matches.meant, matches))
    return searches


def _annotated(meant: Meant, matches: Matches) -> QueryBody:
    """The images with the best annotations, among equals those nearest to the meaning."""
    best = meant.annotations[:MAX_ANNOTATIONS]
    levels = [
        {"constant_score": {"filter": compile_tree(narrow(node)), "boost": float(level)}}
        for level, node in zip(range(len(best), 0, -1), best, strict=True)
    ]
    script = {"source": _INNER_PRODUCT, "params": {"direction": meant.direction.tolist()}}
    near = {"_script": {"type": "number", "order": "desc", "script": script}}
    clauses: QueryBody = {
        "must": [{"dis_max": {"queries": levels}}],
        "filter": [compile_tree(narrow(matches.conditions))],
    }
    if matches.count:
        clauses["should"] = [{"bool": {"should": [_words(matches)], "boost": _NOTHING}}]
    return {
        **_ANSWER,
        "query": {"bool": clauses},
        "sort": [{"_score": {"order": "desc"}}, near, {"id": {"order": "asc"}}],
        "size": meant.count,
    }


def read_answers(answers: Sequence[Any], matches: Matches, named: Sequence[str]) -> TogetherAnswer:
    """What the answers to `searches_together` say."""
    first, *others = ([*answer["hits"]["hits"]] for answer in answers)
    found = {hit["_id"]: _looked(hit) for hit in first}
    by_words = [(one.score, one.document) for one in found.values() if one.score is not None]
    by_words.sort(key=lambda pair: (-pair[0], pair[1]["id"]))
    near = {
        name: [hit["_id"] for hit in first if name in hit.get("matched_queries", ())]
        for name in (_NEAREST, _MEANING)
    }
    annotated = {hit["_id"]: _looked(hit) for hits in others for hit in hits}
    looked: dict[str, ScoredDocument | None] = {**annotated}
    looked |= {image: found.get(image) for image in (*near[_NEAREST], *near[_MEANING], *named)}
    return TogetherAnswer(
        near[_NEAREST],
        by_words[: matches.count],
        looked,
        near[_MEANING],
        [*annotated],
    )


def looking_up(ids: Sequence[str], words: Node, conditions: Node) -> QueryBody:
    """Some images that meet the conditions, whether the words match them or not."""
    among, scored = _among(ids, conditions), _scored(words, conditions)
    return {
        **_ANSWER,
        "query": {"bool": {"filter": [among], "should": [scored]}},
        "size": len(ids),
    }


def looked_up(answer: Any) -> dict[str, ScoredDocument]:
    """What the answer to `looking_up` says, by id."""
    return {hit["_id"]: _looked(hit) for hit in answer["hits"]["hits"]}


_ANSWER: QueryBody = {
    "sort": [{"_score": {"order": "desc"}}, {"id": {"order": "asc"}}],
    "track_scores": True,
    "track_total_hits": False,
    "_source": ["document"],
}


def _looked(hit: dict[str, Any]) -> ScoredDocument:
    score = hit.get("matched_queries", {}).get(_WORDS)
    return ScoredDocument(hit["_source"]["document"], None if score is None else float(score))


def _words(matches: Matches) -> QueryBody:
    return _scored(matches.words, matches.conditions)


def _scored(words: Node, conditions: Node) -> QueryBody:
    return {"bool": {**compile_both(words, conditions)["bool"], "_name": _WORDS}}


def _among(ids: Sequence[str], conditions: Node) -> QueryBody:
    terms = {"terms": {"id": list(ids)}}
    return {"bool": {"filter": [terms, compile_tree(narrow(conditions))]}}
