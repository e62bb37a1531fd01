"""Golden queries: each store finds what the oracle finds, so all find the same."""

from __future__ import annotations

import pytest

from indexer.database.documents import Document
from search.filters import parse_filters
from search.query import parse
from search.tree import MatchAll, Node, conjunction, narrow
from search.vocabulary import Vocabulary
from tests.contract.conftest import Filled
from tests.contract.golden_queries import APPROXIMATE, GOLDEN
from tests.contract.oracle import counts, matches

FACETS = ("disease", "organ", "side", "severity", "composite", "absent", "uncertain")
FACETS = (*FACETS, "origin", "view", "projection", "sex", "age", "year")
EVERYTHING = 10_000


def _meaning(query: str, filters: tuple[str, ...]) -> Node:
    conditions = parse_filters(filters, Vocabulary()) if filters else MatchAll()
    return narrow(conjunction(parse(query), conditions))


@pytest.mark.parametrize(
    ("query", "filters"), [row[:2] for row in GOLDEN], ids=[row[2] for row in GOLDEN]
)
def test_golden_queries(
    filled: Filled, documents: list[Document], query: str, filters: tuple[str, ...]
) -> None:
    conditions = parse_filters(filters, Vocabulary()) if filters else MatchAll()
    page = filled.backend.search(
        parse(query), conditions, facets=FACETS, facet_size=EVERYTHING, limit=EVERYTHING
    )
    meaning = _meaning(query, filters)
    expected = [d for d in documents if matches(meaning, d)]
    assert {d["id"] for _, d in page.hits} == {d["id"] for d in expected}
    assert page.total == len(page.hits) == len(expected)
    assert {name: list(page.facets[name]) for name in FACETS} == {
        name: counts(expected, name) for name in FACETS
    }
    assert page.after is None


@pytest.mark.parametrize("query", [row[0] for row in APPROXIMATE], ids=[r[1] for r in APPROXIMATE])
def test_queries_by_shape(filled: Filled, documents: list[Document], query: str) -> None:
    page = filled.backend.search(parse(query), MatchAll(), limit=EVERYTHING)
    expected = {d["id"] for d in documents if matches(narrow(parse(query)), d)}
    assert {d["id"] for _, d in page.hits} == expected
    assert page.total == len(expected)


def test_the_golden_queries_tell_images_apart(documents: list[Document]) -> None:
    sizes = [
        sum(matches(_meaning(query, filters), d) for d in documents) for query, filters, _ in GOLDEN
    ]
    assert sum(0 < size < len(documents) for size in sizes) >= 60
