"""One request for words and a vector: what is found by each, told apart by names.

The server's own fusion of rankings (`rrf`) is not in the basic licence, and does not know the rule
of `search.hybrid.fusion`. So one search matches what any of its parts finds, and the answer names
for every hit the parts that found it, with their scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from indexer.database.text.documents import Document
from search.language.tree import Node, narrow
from search.stores.backend import Looked
from search.stores.elasticsearch.query import Query, compile_both, compile_tree
from search.stores.matches import Matches

__all__ = ["Brought", "brought", "looked_up", "looking_up", "nearest_and_matches"]

_NEAREST, _NAMED, _WORDS = "nearest", "named", "words"
# A boost that no score of words can reach, so that images found by vector or by id come first and
# none of them is cut off.
_FIRST = 1e30


@dataclass(frozen=True, slots=True)
class Brought:
    """What one request brought.

    Parameters
    ----------
    nearest
        Ids of the images nearest to the vector.
    best
        As of `Matches.best`.
    looked
        Of `nearest` and of the images asked for by their ids.
    """

    nearest: list[str]
    best: list[tuple[float, Document]]
    looked: dict[str, Looked | None]


def nearest_and_matches(nearest: Query, matches: Matches, named: Sequence[str]) -> Query:
    """The images nearest to a vector, some by their ids, and the best matches beside them.

    Parameters
    ----------
    nearest
        The part of the vector.
    named
        The ids; those are found that meet the conditions.
    """
    parts = [_words(matches.words, matches.conditions)]
    if named:
        filter_ = _among(named, matches.conditions)
        parts.append({"constant_score": {"filter": filter_, "boost": _FIRST, "_name": _NAMED}})
    return {
        **_ANSWER,
        "knn": {**nearest, "boost": _FIRST, "_name": _NEAREST},
        "query": {"bool": {"should": parts}},
        "size": nearest["k"] + len(named) + matches.count,
    }


def brought(answer: Any, matches: Matches, named: Sequence[str]) -> Brought:
    """What the answer to `nearest_and_matches` says."""
    hits = answer["hits"]["hits"]
    found = {hit["_id"]: _looked(hit) for hit in hits}
    by_words = [(one.score, one.document) for one in found.values() if one.score is not None]
    by_words.sort(key=lambda pair: (-pair[0], pair[1]["id"]))
    nearest = [hit["_id"] for hit in hits if _NEAREST in hit["matched_queries"]]
    return Brought(
        nearest,
        by_words[: matches.count],
        {image: found.get(image) for image in (*nearest, *named)},
    )


def looking_up(ids: Sequence[str], words: Node, conditions: Node) -> Query:
    """Some images that meet the conditions, whether the words match them or not."""
    among, scored = _among(ids, conditions), _words(words, conditions)
    return {
        **_ANSWER,
        "query": {"bool": {"filter": [among], "should": [scored]}},
        "size": len(ids),
    }


def looked_up(answer: Any) -> dict[str, Looked]:
    """What the answer to `looking_up` says, by id."""
    return {hit["_id"]: _looked(hit) for hit in answer["hits"]["hits"]}


_ANSWER: Query = {
    "sort": [{"_score": {"order": "desc"}}, {"id": {"order": "asc"}}],
    "track_scores": True,
    "track_total_hits": False,
    "_source": ["document"],
}


def _looked(hit: dict[str, Any]) -> Looked:
    score = hit.get("matched_queries", {}).get(_WORDS)
    return Looked(hit["_source"]["document"], None if score is None else float(score))


def _words(words: Node, conditions: Node) -> Query:
    return {"bool": {**compile_both(words, conditions)["bool"], "_name": _WORDS}}


def _among(ids: Sequence[str], conditions: Node) -> Query:
    terms = {"terms": {"id": list(ids)}}
    return {"bool": {"filter": [terms, compile_tree(narrow(conditions))]}}
