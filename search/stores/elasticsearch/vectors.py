"""Vectors in the documents of an Elasticsearch index: the server finds, the shards score."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.database.text.elasticsearch.vectors import FIELD
from indexer.database.vectors.index import Vectors
from indexer.database.vectors.shards import id_from_key, vector_keys
from search.language.tree import Among, MatchAll, Node, Not, Value, conjunction, narrow
from search.stores.backend import TextQuery
from search.stores.elasticsearch.backend import ElasticsearchBackend
from search.stores.elasticsearch.query import compile_tree
from search.stores.elasticsearch.together import read_answers, searches_together
from search.stores.matches import Matches
from search.stores.vectors import EVERYTHING, Bounds, Keys, Neighbours

__all__ = ["ElasticsearchVectors"]

# Each shard is asked for at least this many candidates.
_CANDIDATES = 150
# This many times as many candidates are rescored by their full vectors instead of single bits.
_OVERSAMPLE = 4
# The server's limit of candidates in one search, and so how many neighbours it can be asked for.
_MAX_CANDIDATES = 10_000
_MAX_NEIGHBOURS = _MAX_CANDIDATES // _OVERSAMPLE


class ElasticsearchVectors:
    """Nearest images from a server (`search.stores.vectors.VectorStore`).

    A condition goes to the server as a query beside the vector, so that no keys travel, and so do
    the words of the same request. What it finds is scored by the vectors of the shards, and what
    this moment of the database does not have is left out. Documents that wait for the server are
    not found yet, by words neither.

    Parameters
    ----------
    backend
        The index, which holds the vectors.
    held
        The vectors of the shards, of one moment; no FAISS index is needed.
    dimensions
        Length of the vectors.
    """

    def __init__(self, backend: ElasticsearchBackend, held: Vectors, dimensions: int) -> None:
        self._backend = backend
        self._held = held
        self._dimensions = dimensions

    def __len__(self) -> int:
        return len(self._held)

    @property
    def keys(self) -> Keys:
        """Keys of all images."""
        return self._held.keys

    def stored_vectors(self, keys: Keys) -> npt.NDArray[np.float32]:
        """Vectors of images by key, from the shards."""
        return self._held.stored_vectors(keys)

    def search(
        self, query: npt.NDArray[np.floating], k: int, bounds: Bounds = EVERYTHING
    ) -> Neighbours:
        """The `k` most similar images, best first; more than 2,500 are looked for in the shards.

        Raises
        ------
        DatabaseMismatch
            The index holds no vectors, or such of another length.
        QueryError
            The condition takes the server too long or is too large for it.
        TextStoreUnavailable
            The server does not answer.
        """
        if k > _MAX_NEIGHBOURS:
            keys = None if bounds.choice is None else bounds.choice.keys
            return self._held.search(query, k, keys=keys, excluded=bounds.barred)
        vector = _unit(query)
        wanted = k
        while True:
            candidates = self._candidates(vector, wanted, bounds)
            found = self._held.search(vector, k, keys=candidates)
            # The server may still find images that are deleted here.
            if len(found[1]) == k or len(candidates) < wanted or wanted == _MAX_NEIGHBOURS:
                return found
            wanted = min(2 * wanted, _MAX_NEIGHBOURS)

    def rank(self, query: npt.NDArray[np.floating], k: int, keys: Keys) -> Neighbours:
        """As `search`, of some images, without the server."""
        return self._held.search(query, k, keys=keys)

    def allowed(self, keys: Keys, bounds: Bounds) -> npt.NDArray[np.bool_]:
        """Which of some images are of the choice, if there is one."""
        if bounds.choice is None:
            return np.ones(len(keys), np.bool_)
        ids = [id_from_key(key) for key in keys.tolist()]
        if bounds.matches is not None:
            looked = bounds.matches.look(ids)
            return np.array([image in looked for image in ids], np.bool_)
        few = conjunction(bounds.choice.condition, Among(tuple(ids)))
        return np.isin(keys, self._backend.keys(few))

    def count(self, bounds: Bounds) -> int:
        """How many images may be found."""
        if bounds.choice is None:
            return len(self) - int(np.isin(bounds.barred, self.keys).sum())
        return self._backend.search(TextQuery(MatchAll(), _condition(bounds), limit=0)).total

    def _candidates(self, vector: npt.NDArray[np.float32], k: int, bounds: Bounds) -> Keys:
        """Keys of the images that the server finds nearest, at most `k`."""
        if k < 1:
            return np.empty(0, np.int64)
        nearest = _nearest(vector, k, _condition(bounds))
        matches = bounds.matches
        if matches is not None and not matches.is_asked:
            return self._ask_together(vector, nearest, matches, bounds.excluded)
        if matches is not None and matches.near_meaning is not None and _means(matches, vector, k):
            return vector_keys(matches.near_meaning)
        body = {
            "knn": nearest,
            "size": k,
            "track_total_hits": False,
            "docvalue_fields": ["id"],
            "stored_fields": "_none_",
        }
        answer = self._backend.ask(body, dimensions=self._dimensions)
        return vector_keys([hit["fields"]["id"][0] for hit in answer["hits"]["hits"]])

    def _ask_together(
        self,
        vector: npt.NDArray[np.float32],
        nearest: dict[str, Any],
        matches: Matches,
        excluded: Keys,
    ) -> Keys:
        """Keys of the nearest images; what the same request brings beside goes to `matches`."""
        named = [id_from_key(key) for key in excluded.tolist()]
        meant, meaning = matches.meant, None
        is_meaning = _means(matches, vector, nearest["k"])
        if meant is not None and not is_meaning:
            meaning = _nearest(_unit(meant.direction), meant.count, matches.conditions)
        searches = searches_together(nearest, meaning, matches, named)
        answers = self._backend.ask_together(searches, dimensions=self._dimensions)
        found = read_answers(answers, matches, named)
        if meant is None:
            matches.fill(found.best, found.looked)
        else:
            near = found.nearest if is_meaning else found.near_meaning
            matches.fill(found.best, found.looked, near_meaning=near, annotated=found.annotated)
        return vector_keys(found.nearest)


def _nearest(vector: npt.NDArray[np.float32], k: int, condition: Node) -> dict[str, Any]:
    """What is asked of the server for the images nearest to a vector of unit length."""
    nearest: dict[str, Any] = {
        "field": FIELD,
        "query_vector": vector.tolist(),
        "k": k,
        "num_candidates": max(_CANDIDATES, _OVERSAMPLE * k),
        "rescore_vector": {"oversample": _OVERSAMPLE},
    }
    condition = narrow(condition)
    if not isinstance(condition, MatchAll):
        nearest["filter"] = compile_tree(condition)
    return nearest


def _means(matches: Matches, vector: npt.NDArray[np.float32], k: int) -> bool:
    """Whether the images nearest to a vector of unit length are those that are meant."""
    meant = matches.meant
    return meant is not None and meant.count == k and np.array_equal(_unit(meant.direction), vector)


def _unit(query: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    vector = np.asarray(query, np.float32).reshape(-1)
    unit: npt.NDArray[np.float32] = vector / max(float(np.linalg.norm(vector)), 1e-12)
    return unit


def _condition(bounds: Bounds) -> Node:
    """What the documents of images must meet that may be found."""
    conditions: list[Node] = [] if bounds.choice is None else [bounds.choice.condition]
    if len(bounds.excluded):
        conditions.append(Not(Among(tuple(map(id_from_key, bounds.excluded.tolist())))))
    if len(bounds.unusual):
        # There may be many, so the query describes them by a field instead of their ids.
        conditions.append(Not(Value("unusual", "yes")))
    return conjunction(*conditions)
