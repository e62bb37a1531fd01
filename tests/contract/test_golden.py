"""Golden queries: each store finds what the oracle finds, so all find the same."""

from __future__ import annotations

import pytest

from indexer.database.text.documents import Document
from indexer.database.vectors.shards import vector_keys
from search.language.fields import Vocabulary
from search.language.filters import parse_filters
from search.language.lexicon import Lexicon
from search.language.query import parse
from search.language.tree import Node, Value, conjunction, narrow
from search.paging import Sort
from search.stores.backend import TextQuery
from tests.contract.conftest import Filled
from tests.contract.golden_queries import APPROXIMATE, GOLDEN, SORTED
from tests.contract.oracle import counts, matches, ordered

_LABELS = ("disease", "organ", "side", "severity", "composite", "absent", "uncertain", "origin")
FACETS = (*_LABELS, "view", "projection", "sex", "age", "year")
VOCABULARY = Vocabulary({"disease": {"nodule", "opacity"}})


def _meaning(query: str, filters: tuple[str, ...]) -> Node:
    return narrow(conjunction(parse(query), parse_filters(filters, VOCABULARY)))


def _keys(documents: list[Document]) -> list[int]:
    return sorted(vector_keys([document["id"] for document in documents]).tolist())


@pytest.mark.parametrize(
    ("query", "filters"), [row[:2] for row in GOLDEN], ids=[row[2] for row in GOLDEN]
)
def test_golden_queries(
    filled: Filled, documents: list[Document], query: str, filters: tuple[str, ...]
) -> None:
    _check(filled, documents, query, filters)


def _check(
    filled: Filled, documents: list[Document], query: str, filters: tuple[str, ...] = ()
) -> None:
    """Compare keys, hits and the counts of all facets with the oracle's."""
    meaning = _meaning(query, filters)
    expected = [d for d in documents if matches(meaning, d)]
    assert filled.backend.keys(meaning).tolist() == _keys(expected)
    page = filled.backend.search(
        TextQuery(
            parse(query),
            parse_filters(filters, VOCABULARY),
            facets=FACETS,
            facet_size=10_000,
            limit=5,
        )
    )
    assert page.total == len(expected)
    assert {name: list(page.facets[name]) for name in FACETS} == {
        name: counts(expected, name) for name in FACETS
    }
    assert len(page.hits) == min(5, len(expected))
    assert (page.after is None) == (len(expected) <= 5)


@pytest.mark.parametrize("query", [row[0] for row in APPROXIMATE], ids=[r[1] for r in APPROXIMATE])
def test_queries_by_shape(filled: Filled, documents: list[Document], query: str) -> None:
    _check(filled, documents, query)


@pytest.mark.parametrize(
    ("query", "filters", "sort"), [row[:3] for row in SORTED], ids=[row[3] for row in SORTED]
)
def test_sorted_pages(
    filled: Filled, documents: list[Document], query: str, filters: tuple[str, ...], sort: str
) -> None:
    order = Sort.parse(sort)
    found = [d for d in documents if matches(_meaning(query, filters), d)]
    if order.by == "id":
        expected = sorted((d["id"] for d in found), reverse=order.descending)
    else:
        expected = ordered(found, order.by, descending=order.descending)
    assert len(expected) > 10
    limit = -(-len(expected) // 3)
    after, pages = None, []
    for _ in range(3):
        page = filled.backend.search(
            TextQuery(
                parse(query),
                parse_filters(filters, VOCABULARY),
                sort=order,
                limit=limit,
                after=after,
                facets=FACETS,
                facet_size=10_000,
            )
        )
        assert page.total == len(expected)
        assert {name: list(page.facets[name]) for name in FACETS} == {
            name: counts(found, name) for name in FACETS
        }
        pages += [d["id"] for _, d in page.hits]
        after = page.after
    assert pages == expected
    assert after is None


@pytest.mark.parametrize("query", ['disease:"lung diseases"', 'disease:"heart diseases"'])
def test_a_value_of_a_facet_counts_what_choosing_it_finds(
    filled: Filled, documents: list[Document], query: str
) -> None:
    tree = Lexicon.load().expand(parse(query))
    page = filled.backend.search(TextQuery(tree, facets=["disease"], facet_size=10_000, limit=0))
    found = [d for d in documents if matches(tree, d)]
    assert page.facets["disease"] == counts(found, "disease")
    for count in page.facets["disease"]:
        chosen = Value("disease", str(count.value))
        assert filled.backend.search(TextQuery(tree, chosen, limit=0)).total == count.count


def test_the_golden_queries_tell_images_apart(documents: list[Document]) -> None:
    sizes = [
        sum(matches(_meaning(query, filters), d) for d in documents) for query, filters, _ in GOLDEN
    ]
    assert sum(0 < size < len(documents) for size in sizes) >= 60
