"""Golden queries: each store finds what the oracle finds, so all find the same."""

from __future__ import annotations

import pytest

from indexer.database.documents import Document
from indexer.database.embeddings import keys_of
from search.filters import parse_filters
from search.query import parse
from search.tree import Node, conjunction, narrow
from search.vocabulary import Vocabulary
from tests.contract.conftest import Filled
from tests.contract.golden_queries import APPROXIMATE, GOLDEN
from tests.contract.oracle import counts, matches

_LABELS = ("disease", "organ", "side", "severity", "composite", "absent", "uncertain", "origin")
FACETS = (*_LABELS, "view", "projection", "sex", "age", "year")
VOCABULARY = Vocabulary({"disease": {"nodule", "opacity"}})


def _meaning(query: str, filters: tuple[str, ...]) -> Node:
    return narrow(conjunction(parse(query), parse_filters(filters, VOCABULARY)))


def _keys(documents: list[Document]) -> list[int]:
    return sorted(keys_of([document["id"] for document in documents]).tolist())


@pytest.mark.parametrize(
    ("query", "filters"), [row[:2] for row in GOLDEN], ids=[row[2] for row in GOLDEN]
)
def test_golden_queries(
    filled: Filled, documents: list[Document], query: str, filters: tuple[str, ...]
) -> None:
    meaning = _meaning(query, filters)
    expected = [d for d in documents if matches(meaning, d)]
    assert filled.backend.keys(meaning).tolist() == _keys(expected)
    page = filled.backend.search(
        parse(query), parse_filters(filters, VOCABULARY), facets=FACETS, facet_size=10_000, limit=5
    )
    assert page.total == len(expected)
    assert {name: list(page.facets[name]) for name in FACETS} == {
        name: counts(expected, name) for name in FACETS
    }
    assert len(page.hits) == min(5, len(expected))
    assert (page.after is None) == (len(expected) <= 5)


@pytest.mark.parametrize("query", [row[0] for row in APPROXIMATE], ids=[r[1] for r in APPROXIMATE])
def test_queries_by_shape(filled: Filled, documents: list[Document], query: str) -> None:
    expected = [d for d in documents if matches(narrow(parse(query)), d)]
    assert filled.backend.keys(parse(query)).tolist() == _keys(expected)


def test_the_golden_queries_tell_images_apart(documents: list[Document]) -> None:
    sizes = [
        sum(matches(_meaning(query, filters), d) for d in documents) for query, filters, _ in GOLDEN
    ]
    assert sum(0 < size < len(documents) for size in sizes) >= 60
