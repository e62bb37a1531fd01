"""Golden queries: each store finds what the oracle finds, so all find the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from indexer.annotation import NORMAL, Origin
from indexer.database.text.documents import Document
from indexer.database.text.schema import analyzer
from indexer.database.vectors.shards import vector_keys
from search.language.fields import Vocabulary
from search.language.filters import parse_filters
from search.language.lexicon import Lexicon
from search.language.plain.reading import ranked, read
from search.language.query import parse
from search.language.tree import Node, Term, Value, conjunction, narrow
from search.paging import Sort
from search.stores.backend import TextQuery
from tests.contract.conftest import Filled
from tests.contract.golden_queries import APPROXIMATE, DENIALS, GOLDEN, SORTED
from tests.contract.oracle import counts, matches, ordered
from tests.search.corpus import image_document

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


def _forms() -> list[str]:
    """What people say in a sentence, but for what denies or says that all is well by itself."""
    lexicon = Lexicon.load()
    # "No growth" is no change, and "No heart is enlarged" no sentence.
    denying = re.compile(
        r"\b(?:no|nothing|not|absent|missing|free|clear|negative|without|is|growth)\b|,"
    )
    return [
        form
        for form in lexicon.forms
        if not denying.search(form)
        and all(heading.name != NORMAL for heading in lexicon.senses(form))
        and analyzer().analyze(form)
    ]


def _denials(forms: list[str]) -> Iterator[str]:
    for number, form in enumerate(forms):
        others = forms[(number * 7 + 1) % len(forms)], forms[(number * 13 + 5) % len(forms)]
        # Each way to deny meets each form of a heading sooner or later; all would be 30,000.
        for way in (number, number + 5):
            yield DENIALS[way % len(DENIALS)].format(form, *others)


def test_no_word_finds_what_denies_it(empty: Filled) -> None:
    forms = _forms()
    assert len(forms) > 2_000
    denials = list(_denials(forms))
    reports = [*denials, *(f"There is {form}." for form in forms)]
    empty.write(
        [
            image_document(f"{n:016x}", report={"findings": text})
            for n, text in enumerate(reports, 1)
        ]
    )
    lexicon = Lexicon.load()
    found_denied: dict[str, list[str]] = {}
    missed: list[str] = []
    for number, form in enumerate(forms, 1):
        words = [word for word in re.findall(r"[\w'-]+", form) if analyzer().analyze(word)]
        keys = set(empty.backend.keys(lexicon.expand(conjunction(*map(Term, words)))).tolist())
        if denied := sorted(key for key in keys if key <= len(denials)):
            found_denied[form] = [denials[key - 1] for key in denied[:3]]
        if len(denials) + number not in keys:
            missed.append(form)
    assert found_denied == {}
    assert missed == []


def _names() -> list[str]:
    lexicon = Lexicon.load()
    return sorted(
        heading.name
        for name in lexicon.forms
        for heading in lexicon.senses(name, "disease")
        if heading.name == name and name != NORMAL and not re.search("left|right|bilateral", name)
    )


def test_what_is_on_both_sides_is_on_each(empty: Filled) -> None:
    names = _names()
    assert len(names) > 150
    sides = ("right", "bilateral", "left")
    empty.write(
        [
            image_document(f"{3 * n + k + 1:016x}", [("human", f"{name}; {side}")])
            for n, name in enumerate(names)
            for k, side in enumerate(sides)
        ]
    )
    lexicon = Lexicon.load()
    wrong: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        for side in sides:
            own = {3 * number + sides.index(s) + 1 for s in (side, "bilateral")}
            for word in (f"side:{side}", side):
                query = f'finding:(disease:"{name}" AND {word})'
                keys = set(empty.backend.keys(lexicon.expand(parse(query))).tolist())
                # A broader heading finds its narrower ones, on the same side.
                found = {sides[(key - 1) % 3] for key in keys}
                if not own <= keys or found != {side, "bilateral"}:
                    wrong[query] = sorted(keys)
    assert wrong == {}


@pytest.mark.parametrize(
    ("query", "first", "others"),
    [
        ("cardiomegaly", [2, 3, 4], [1, 5, 6]),
        ("mild cardiomegaly", [2], [1]),
        ("enlarged heart", [2, 3, 4], [1, 5, 6]),
        ("cardiomegaly with effusion", [3], [1, 4]),
        ("effusion or scoliosis", [3, 6], [1, 4]),
        ("cardiomegaly without effusion", [2], [5, 6]),
        ("left effusion", [3], [1]),
    ],
)
def test_what_people_say_stands_before_what_is_predicted(
    empty: Filled, query: str, first: list[int], others: list[int]
) -> None:
    predicted: list[tuple[Origin, str]] = [
        ("predicted", "cardiomegaly; mild"),
        ("predicted", "cardiomegaly"),
        ("predicted", "pleural effusion; left"),
        ("predicted", "pleural effusion"),
    ]
    more: list[tuple[Origin, str]] = [
        ("human", f"{name}; right") for name in ("opacity", "nodule", "density", "granuloma")
    ]
    report = {"findings": "Cardiomegaly and a left pleural effusion, as was seen some years ago."}
    empty.write(
        [
            image_document("1".zfill(16), predicted),
            image_document("2".zfill(16), [("human", "cardiomegaly; mild"), *more]),
            image_document("3".zfill(16), more, report),
            image_document("4".zfill(16), [("human", "cardiomegaly"), predicted[3], *more]),
            image_document("5".zfill(16), predicted[1:2]),
            image_document("6".zfill(16), [*predicted[1:2], ("human", "scoliosis")]),
        ]
    )
    tree = Lexicon.load().expand(read(query).tree)
    found = [int(d["id"]) for _, d in empty.backend.search(TextQuery(ranked(tree))).hits]
    assert sorted(found[: len(first)]) == first
    assert sorted(found[len(first) :]) == others
    assert sorted(found) == empty.backend.keys(tree).tolist()
