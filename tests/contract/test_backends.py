"""Paging, sorting, choices and changes: what every text store must do alike."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from indexer.database.text.documents import Document
from indexer.database.vectors.shards import vector_keys
from search.language.tree import (
    Among,
    And,
    Boost,
    MatchAll,
    Node,
    Not,
    Or,
    Prefix,
    Range,
    Term,
    Value,
    conjunction,
    narrow,
)
from search.stores.backend import Backend, Cursor, Sort, TextQuery
from tests.contract.conftest import Filled
from tests.contract.corpus import generated_documents
from tests.contract.oracle import counts, matches, ordered
from tests.contract.trees import random_tree

EVERYTHING = 100_000
SORTS = [Sort(by, down) for by in ("age", "year", "id") for down in (False, True)] + [Sort()]


def _ids(backend: Backend, query: Node, filters: Node = MatchAll()) -> set[str]:  # noqa: B008
    page = backend.search(TextQuery(query, filters, limit=EVERYTHING))
    assert page.total == len(page.hits)
    return {document["id"] for _, document in page.hits}


def _pages(backend: Backend, query: Node, sort: Sort, limit: int) -> Iterator[list[str]]:
    after: Cursor | None = None
    while True:
        page = backend.search(TextQuery(query, sort=sort, limit=limit, after=after))
        yield [document["id"] for _, document in page.hits]
        if page.after is None:
            return
        after = page.after


def _random_trees(seed: int) -> tuple[Node, Node]:
    """A query, and filters."""
    rng = random.Random(seed)
    return random_tree(rng, 3), random_tree(rng, 1) if seed % 3 == 0 else MatchAll()


@pytest.fixture(scope="session")
def meant(documents: list[Document]) -> Callable[[int], set[str]]:
    """Ids of the documents that the trees of a seed mean: worked out once for all stores."""

    @functools.cache
    def ids(seed: int) -> set[str]:
        query, filters = _random_trees(seed)
        both = narrow(query if isinstance(filters, MatchAll) else And((query, filters)))
        return {d["id"] for d in documents if matches(both, d)}

    return ids


@pytest.mark.parametrize("seed", range(150))
def test_random_trees(filled: Filled, meant: Callable[[int], set[str]], seed: int) -> None:
    query, filters = _random_trees(seed)
    expected = meant(seed)
    assert _ids(filled.backend, query, filters) == expected
    if isinstance(filters, MatchAll):
        keys = filled.backend.keys(query)
        assert keys.dtype == np.int64
        assert keys.tolist() == sorted(vector_keys(sorted(expected)).tolist())


@pytest.mark.parametrize("sort", SORTS, ids=str)
def test_pages_by_cursor(filled: Filled, documents: list[Document], sort: Sort) -> None:
    query = Term("left")
    whole = [
        d["id"]
        for _, d in filled.backend.search(TextQuery(query, sort=sort, limit=EVERYTHING)).hits
    ]
    found = [d for d in documents if matches(query, d)]
    paged = [i for page in _pages(filled.backend, query, sort, 7) for i in page]
    assert paged == whole
    assert sorted(paged) == sorted(d["id"] for d in found)
    if sort.by == "id":
        assert paged == sorted(paged, reverse=sort.descending)
    elif sort.by != "score":
        assert paged == ordered(found, sort.by, descending=sort.descending)


def test_the_last_page_has_no_next(filled: Filled) -> None:
    query = Value("disease", "opacity")
    total = filled.backend.search(TextQuery(query, limit=0)).total
    full = filled.backend.search(TextQuery(query, limit=total))
    assert len(full.hits) == total > 10
    assert full.after is None
    short = filled.backend.search(TextQuery(query, limit=total - 1))
    assert short.after is not None
    last = filled.backend.search(TextQuery(query, limit=5, after=short.after))
    assert [d["id"] for _, d in last.hits] == [full.hits[-1][1]["id"]]
    assert last.total == total
    assert last.after is None


def test_offsets_are_slices_of_one_order(filled: Filled) -> None:
    for query in (Term("effusion"), MatchAll()):
        whole = [d["id"] for _, d in filled.backend.search(TextQuery(query, limit=EVERYTHING)).hits]
        for offset in (0, 1, 30, len(whole) - 2, len(whole), 10**15):
            page = filled.backend.search(TextQuery(query, limit=9, offset=offset))
            assert [d["id"] for _, d in page.hits] == whole[offset : offset + 9]
            assert page.total == len(whole)


def test_scores_order_hits_and_filters_do_not_count(filled: Filled) -> None:
    query, filters = Term("effusion"), Value("view", "lateral")
    plain = filled.backend.search(TextQuery(query, limit=EVERYTHING))
    order = [(-score, document["id"]) for score, document in plain.hits]
    assert order == sorted(order)
    assert len({score for score, _ in plain.hits}) > 3
    kept = [hit for hit in plain.hits if hit[1]["view"] == "lateral"]
    filtered = filled.backend.search(TextQuery(query, filters, limit=EVERYTHING))
    assert [d["id"] for _, d in filtered.hits] == [d["id"] for _, d in kept]
    assert [s for s, _ in filtered.hits] == pytest.approx([s for s, _ in kept], rel=1e-5)


CHOICES: tuple[dict[str, Node], ...] = (
    {
        "disease": Value("disease", "opacity"),
        "view": Value("view", "lateral"),
        "sex": Not(Value("sex", "f")),
    },
    # A choice of an origin narrows the others, but not for the counts of its own facet.
    {"origin": Value("origin", "human"), "disease": Value("disease", "opacity")},
    {"side": Or((Value("side", "left"), Value("side", "right")))},
)


@pytest.mark.parametrize("chosen", CHOICES, ids=["several", "an origin", "either side"])
def test_a_facets_own_choice_does_not_shrink_it(
    filled: Filled, documents: list[Document], chosen: dict[str, Node]
) -> None:
    query, filters = Term("lung"), Range("age", 0, None)
    names = ("disease", "view", "side", "origin")
    page = filled.backend.search(
        TextQuery(
            query, filters, chosen=chosen, facets=names, facet_size=EVERYTHING, limit=EVERYTHING
        )
    )

    def meeting(own: str | None = None) -> list[Document]:
        others = (node for name, node in chosen.items() if name != own)
        meaning = narrow(conjunction(query, filters, *others))
        return [d for d in documents if matches(meaning, d)]

    assert {d["id"] for _, d in page.hits} == {d["id"] for d in meeting()}
    assert page.total == len(meeting()) > 3
    for name in names:
        assert page.facets[name] == counts(meeting(name), name)
    for name in chosen.keys() & set(names):
        assert len(page.facets[name]) > 1


def test_some_images_by_their_ids(filled: Filled, documents: list[Document]) -> None:
    some = [document["id"] for document in documents[::3]]
    among = Among((*some, "0" * 16))
    assert _ids(filled.backend, MatchAll(), among) == {*some}
    assert _ids(filled.backend, among) == {*some}
    assert _ids(filled.backend, MatchAll(), Among(())) == set()
    assert _ids(filled.backend, Not(among)) == {d["id"] for d in documents} - {*some}
    word = Term("lung")
    wanted = {d["id"] for d in documents if matches(word, d)} & {*some}
    assert _ids(filled.backend, word, among) == wanted
    assert {*filled.backend.keys(conjunction(word, among))} == {*vector_keys(sorted(wanted))}


@pytest.mark.parametrize("seed", range(20))
def test_some_images_are_looked_up(filled: Filled, documents: list[Document], seed: int) -> None:
    rng = random.Random(seed)
    words = Or((Term("effusion"), Boost(Term("left"), 100.0), Not(Value("sex", "f"))))
    conditions = (MatchAll(), Value("view", "lateral"), Value("origin", "human"))[seed % 3]
    some = rng.sample(documents, 40)
    ids = [*(document["id"] for document in some), "f" * 16]
    found = filled.backend.look_up(ids, words, conditions)
    meaning = narrow(conditions)
    assert found.keys() == {d["id"] for d in some if matches(meaning, d)}
    assert all(found[d["id"]].document == d for d in some if d["id"] in found)
    page = filled.backend.search(TextQuery(words, conditions, limit=EVERYTHING))
    scores = {document["id"]: score for score, document in page.hits}
    assert {image: one.score for image, one in found.items()} == {
        image: scores.get(image) for image in found
    }


def test_facets_have_the_commonest_values(filled: Filled, documents: list[Document]) -> None:
    page = filled.backend.search(TextQuery(MatchAll(), facets=["disease"], facet_size=3, limit=0))
    assert page.facets["disease"] == counts(documents, "disease")[:3]
    assert not page.hits


@pytest.mark.parametrize("field", ["disease", "composite", "sex", "absent", "view"])
def test_values(filled: Filled, documents: list[Document], field: str) -> None:
    assert sorted(filled.backend.values(field)) == sorted(
        str(count.value) for count in counts(documents, field)
    )


def test_suggestions(filled: Filled) -> None:
    suggest = filled.backend.suggest
    assert "cardiomegaly" in suggest("cardiomegally")
    assert "pneumothorax" in suggest("pnuemothorax")
    assert suggest("effusion") == []
    assert suggest("qqqqqqqqqq") == []


def test_whole_documents_come_back(filled: Filled, documents: list[Document]) -> None:
    page = filled.backend.search(TextQuery(MatchAll(), limit=EVERYTHING))
    assert {d["id"]: d for _, d in page.hits} == {d["id"]: d for d in documents}


def test_changes_are_seen(empty: Filled) -> None:
    filled = empty
    first, second, third = generated_documents(3, seed=7)
    filled.write([first, second])
    assert _ids(filled.backend, MatchAll()) == {first["id"], second["id"]}
    changed = {**third, "id": first["id"], "age": 77}
    filled.write([Document(**changed)], [second["id"]])  # type: ignore[typeddict-item]
    assert _ids(filled.backend, MatchAll()) == {first["id"]}
    assert _ids(filled.backend, Range("age", 77, 77)) == {first["id"]}
    assert _ids(filled.backend, Prefix(second["id"][:9], "id")) == set()
    filled.store.clear()
    filled.write([])
    assert _ids(filled.backend, MatchAll()) == set()
    assert filled.backend.keys(MatchAll()).tolist() == []
    assert filled.backend.values("disease") == []


def test_pages_past_ten_thousand(empty: Filled) -> None:
    filled = empty
    rng = random.Random(0)
    (pattern,) = generated_documents(1, seed=3)
    made = [
        Document(**{**pattern, "id": f"{rng.getrandbits(64):016x}", "age": rng.randint(20, 60)})
        for _ in range(10_400)
    ]
    filled.write(made)
    expected = ordered(made, "age", descending=True)
    pages = list(_pages(filled.backend, MatchAll(), Sort("age", True), 2_600))
    assert [len(page) for page in pages] == [2_600] * 4
    assert [image_id for page in pages for image_id in page] == expected
    deep = filled.backend.search(
        TextQuery(MatchAll(), sort=Sort("age", True), offset=10_150, limit=20)
    )
    assert [d["id"] for _, d in deep.hits] == expected[10_150:10_170]
    keys = filled.backend.keys(MatchAll())
    assert keys.tolist() == sorted(vector_keys(expected).tolist())
