"""Hostile queries end in an answer or a clear error, on every store, which bounds their time."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from indexer.database.text.elasticsearch.schema import MAPPING_VERSION
from indexer.database.text.elasticsearch.store import ElasticsearchTextStore
from indexer.errors import QueryError
from search.language.fields import Vocabulary
from search.language.query import parse
from search.stores.backend import Backend, TextQuery
from search.stores.elasticsearch.backend import ElasticsearchBackend
from tests.contract.conftest import Filled
from tests.search.hostile import hostile_queries

#: Each shape of `hostile_queries` comes some three times in each size.
COUNT = int(os.environ.get("CXRDEX_TEST_QUERIES", "2500"))
# What the server gives up after; the embedded store's time is bounded by tests/search.
SECONDS = 1.0
_AT_ONCE = 4


def _ask(backend: Backend, vocabulary: Vocabulary, query: str) -> str:
    """What became of a query."""
    try:
        backend.search(TextQuery(parse(query, vocabulary), facets=("disease", "side")))
    except QueryError as error:
        message = str(error)
        assert message.isprintable(), query[:200]
        assert 0 < len(message) < 400, query[:200]
        return "by the parser" if message.startswith("column") else "by the store"
    return "answer"


@pytest.mark.parametrize("corpus", ["generated"], indirect=True)
@pytest.mark.timeout(1800)
def test_hostile_queries(filled: Filled) -> None:
    backend = filled.backend
    if isinstance(filled.store, ElasticsearchTextStore):
        backend = ElasticsearchBackend(filled.store.client, filled.store.index, SECONDS)
    vocabulary = Vocabulary({"disease": filled.backend.values("disease")})
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        asked = pool.map(lambda query: _ask(backend, vocabulary, query), hostile_queries(COUNT))
        outcomes = Counter(asked)
    assert outcomes["answer"] > COUNT / 10
    assert outcomes["by the parser"] > COUNT / 10
    assert outcomes.total() == COUNT


class _Slow:
    """A client of a server that gives up on every search."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.indices = self

    def options(self, **_: Any) -> _Slow:
        return self

    def get_mapping(self, **_: Any) -> dict[str, Any]:
        return {"index": {"mappings": {"_meta": {"version": MAPPING_VERSION}}}}

    def search(self, **request: Any) -> dict[str, Any]:
        self.asked.append(request["body"]["timeout"])
        return {"timed_out": True, "hits": {"hits": []}}


def test_a_query_that_takes_too_long_is_refused() -> None:
    client = _Slow()
    backend = ElasticsearchBackend(client, "index", SECONDS)  # type: ignore[arg-type]
    with pytest.raises(QueryError, match="the query takes longer than 1 s; make it narrower"):
        backend.search(TextQuery(parse("effusion"), facets=("disease",)))
    assert client.asked == ["1000ms"]
