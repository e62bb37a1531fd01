from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from indexer.annotation import Origin
from indexer.database.text.documents import Document
from indexer.database.text.tantivy.store import EmbeddedTextStore
from search.language.fields import Vocabulary
from search.language.filters import parse_filters
from search.language.query import parse
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
    Range,
    Term,
    Value,
    Wildcard,
    narrow,
)
from search.language.wildcards import distance
from search.paging import Cursor, Sort
from search.stores.backend import Page, TextQuery
from search.stores.tantivy.backend import EmbeddedBackend
from tests.search.corpus import image_document

EVERYTHING = 10_000
_LABELS = ("disease", "organ", "location", "side", "severity")


def _found(backend: EmbeddedBackend, query: str, *filters: str) -> set[str]:
    vocabulary = Vocabulary({f: backend.values(f) for f in ("disease", "absent")})
    page = backend.search(
        TextQuery(parse(query, vocabulary), parse_filters(filters, vocabulary), limit=EVERYTHING)
    )
    assert page.total == len(page.hits)
    return {document["id"] for _, document in page.hits}


def _words(text: str) -> list[str]:
    """Tokens, the plurals of the corpus made singular."""
    return re.findall(r"\w+", text.lower().replace("opacities", "opacity").replace("lungs", "lung"))


def _in_text(node: Term | Phrase | Prefix | Wildcard | Fuzzy, text: str) -> bool:
    match node:
        case Term(words) | Phrase(words):
            wanted, tokens = _words(words), _words(text)
            n = len(wanted)
            return any(tokens[i : i + n] == wanted for i in range(len(tokens) - n + 1))
    return any(_is_shape(node, token) for token in re.findall(r"\w+", text.lower()))


def _is_shape(node: Prefix | Wildcard | Fuzzy, term: str) -> bool:
    match node:
        case Prefix(text):
            return term.startswith(text)
        case Wildcard(pattern):
            return fnmatchcase(term, pattern)
        case Fuzzy(text, _, most):
            return distance(text, term, most) is not None


def _values(annotation: Mapping[str, Any], field: str) -> set[str]:
    if field == "composite":
        return {annotation["text"]}
    return {word["text"] for word in annotation["words"] if word["kind"] == field}


def _holds(node: Node, annotation: Mapping[str, Any]) -> bool:
    """Whether one annotation is what stands inside a finding."""
    match node:
        case MatchAll():
            return True
        case And(nodes):
            return all(_holds(child, annotation) for child in nodes)
        case Or(nodes):
            return any(_holds(child, annotation) for child in nodes)
        case Not(child):
            return not _holds(child, annotation)
        case Value(field, value):
            return value in _values(annotation, field)
        case Term() | Phrase() | Prefix() | Wildcard() | Fuzzy():
            if node.field is not None:
                assert isinstance(node, Prefix | Wildcard | Fuzzy)
                return any(_is_shape(node, value) for value in _values(annotation, node.field))
            return _in_text(node, annotation["text"])
    raise AssertionError(node)


def _matches(node: Node, document: Document) -> bool:
    """What a query means, said a second time and without any index."""
    match node:
        case MatchAll():
            return True
        case And(nodes):
            return all(_matches(child, document) for child in nodes)
        case Or(nodes):
            return any(_matches(child, document) for child in nodes)
        case Not(child):
            return not _matches(child, document)
        case Boost(child):
            return _matches(child, document)
        case Finding(child, origin):
            return any(_holds(child, a) for a in document["annotations"] if _has_origin(a, origin))
        case Range(field, low, high):
            number = document[field]  # type: ignore[literal-required]
            return (
                number is not None
                and (low is None or number >= low)
                and (high is None or number <= high)
            )
        case Value("origin", value):
            return any(a["origin"] == value for a in document["annotations"])
        case Value("absent" | "uncertain" as field, value):
            return value in {a["disease"] for a in document[field]}
        case Value(field, value, origin):
            if field in (*_LABELS, "composite"):
                labels = (
                    _values(a, field) for a in document["annotations"] if _has_origin(a, origin)
                )
                return any(value in some for some in labels)
            return str(document[field]).lower() == value  # type: ignore[literal-required]
        case Prefix() | Wildcard() | Fuzzy() if node.field in (*_LABELS, "composite"):
            annotations = (a for a in document["annotations"] if _has_origin(a, node.origin))
            values = (_values(a, node.field) for a in annotations)
            return any(_is_shape(node, value) for some in values for value in some)
        case Term() | Phrase() | Prefix() | Wildcard() | Fuzzy():
            texts = []
            if node.field in (None, "annotation"):
                texts += [a["text"] for a in document["annotations"] if _has_origin(a, node.origin)]
            if node.field is None and node.origin is None:
                texts += document["statements"].values()
            if node.field not in (None, "annotation"):
                sections = document["report"] or {}
                texts += [t for name, t in sections.items() if node.field in ("report", name)]
            return any(_in_text(node, text) for text in texts)
    raise AssertionError(node)


def _has_origin(annotation: Mapping[str, Any], origin: Origin | None) -> bool:
    return origin in (None, annotation["origin"])


def _random_tree(rng: random.Random, depth: int, *, inside: bool = False) -> Node:
    if depth == 0 or rng.random() < 0.25:
        fields = (None,) if inside else (None, "annotation", "report", "findings", "impression")
        field = rng.choice(fields)
        choices: list[Callable[[], Node]] = [
            lambda: Term(rng.choice(("heart", "left", "opacity", "clear", "zebra")), field),
            lambda: Phrase(rng.choice(("pleural effusion", "left base", "base lung")), field),
            lambda: Prefix(rng.choice(("pleu", "cardi", "opacit", "xyz")), field),
            lambda: Wildcard(rng.choice(("*eff*on", "l?ft", "*a*e*", "op*y")), field),
            lambda: Fuzzy(
                rng.choice(("efusion", "lfet", "cardiomegly")), field, rng.choice((1, 2))
            ),
            lambda: Fuzzy("opactiy", "disease", 1),
            lambda: Wildcard("*l effusi?n", "disease"),
            lambda: Value("disease", rng.choice(("opacity", "normal", "tube, inserted"))),
            lambda: Value("side", rng.choice(("left", "right", "bilateral"))),
            lambda: Value("composite", rng.choice(("opacity, lung, base, left", "opacity, left"))),
            MatchAll,
        ]
        if not inside:
            choices += [
                lambda: Value("sex", rng.choice("mf")),
                lambda: Value("origin", rng.choice(("human", "predicted", "report"))),
                lambda: Value("absent", rng.choice(("pneumothorax", "pleural effusion"))),
                lambda: Value("uncertain", "nodule"),
                lambda: Range("age", rng.choice((None, 34, 50)), rng.choice((51, 68, 95))),
                lambda: Finding(
                    _random_tree(rng, 2, inside=True), rng.choice((None, None, "human", "report"))
                ),
            ]
        return rng.choice(choices)()
    children = tuple(_random_tree(rng, depth - 1, inside=inside) for _ in range(rng.randint(2, 3)))
    kind = rng.random()
    if kind < 0.1 and not inside:
        return Boost(Or(children), 2.0)
    return And(children) if kind < 0.5 else Or(children) if kind < 0.8 else Not(children[0])


@pytest.mark.parametrize("seed", range(200))
def test_random_trees_against_brute_force(
    backend: EmbeddedBackend, documents: list[Document], seed: int
) -> None:
    tree = _random_tree(random.Random(seed), 3)
    meaning = narrow(tree)
    expected = {d["id"] for d in documents if _matches(meaning, d)}
    page = backend.search(TextQuery(tree, limit=EVERYTHING))
    assert {d["id"] for _, d in page.hits} == expected
    assert page.total == len(expected)
    keys = {f"{key & (1 << 64) - 1:016x}" for key in backend.keys(tree).tolist()}
    assert keys == expected


def test_golden_queries(backend: EmbeddedBackend, documents: list[Document]) -> None:
    with_report = {d["id"] for d in documents if d["report"]}
    everything = {d["id"] for d in documents}
    assert _found(backend, "*") == everything
    assert _found(backend, "report:*") == with_report
    assert _found(backend, "NOT report:*") == everything - with_report
    assert _found(backend, "sex:*") == {d["id"] for d in documents if d["sex"]}
    assert _found(backend, "projection:*") == set()
    assert _found(backend, "age:*") == {d["id"] for d in documents if d["age"] is not None}
    assert _found(backend, "study:*") == everything
    assert _found(backend, "annotation:*") == everything
    stems = ("enlarge", "Enlarging", "ENLARGED", "énlarged")
    assert len({frozenset(_found(backend, f"report:{word}")) for word in stems}) == 1
    assert _found(backend, "report:enlarging") != set()
    assert _found(backend, "severity:borderline") == set()
    one = documents[7]["id"]
    assert _found(backend, f"id:{one}") == {one}
    assert _found(backend, f"id:{one[:9].upper()}*") == {one}
    assert _found(backend, "composite:*") == _found(backend, "finding:*") == everything
    assert _found(backend, "absent:*") == {d["id"] for d in documents if d["absent"]}
    assert _found(backend, f"study:{documents[7]['study']}") == {d["id"] for d in documents[6:9]}
    assert _found(backend, "enlarg* -enlarged") == set()
    assert _found(backend, "pneumothorax") == set()
    assert _found(backend, "absent:pneumothorax") == _found(backend, "report:pneumothorax") != set()


def test_filters_select_and_do_not_score(backend: EmbeddedBackend) -> None:
    plain = backend.search(TextQuery(parse("opacity"), limit=EVERYTHING))
    vocabulary = Vocabulary({"disease": backend.values("disease")})
    chosen = parse_filters(["view:lateral", "age:>40"], vocabulary)
    filtered = backend.search(TextQuery(parse("opacity"), chosen, limit=EVERYTHING))
    kept = [
        (score, d["id"])
        for score, d in plain.hits
        if d["view"] == "lateral" and (d["age"] or 0) > 40
    ]
    assert [(score, d["id"]) for score, d in filtered.hits] == kept
    assert 0 < len(kept) < plain.total


def test_an_origin_filter_narrows_the_query(
    backend: EmbeddedBackend, documents: list[Document]
) -> None:
    expected = {
        d["id"]
        for d in documents
        for a in d["annotations"]
        if (a["origin"], a["disease"]) == ("human", "opacity")
    }
    assert _found(backend, "disease:opacity", "origin:human") == expected
    assert _found(backend, "origin:human", "disease:opacity") == expected
    assert _found(backend, "disease:opacity origin:human") == expected
    assert expected < _found(backend, "disease:opacity")


@pytest.mark.parametrize("query", ["effusion", "left OR heart", "*", "disease:opacity", "-nodule"])
def test_pages_are_slices_of_one_order(backend: EmbeddedBackend, query: str) -> None:
    tree = parse(query)
    whole = backend.search(TextQuery(tree, limit=EVERYTHING))
    ids = [d["id"] for _, d in whole.hits]
    assert len(set(ids)) == whole.total == len(ids) > 40
    order = [(-score, d["id"]) for score, d in whole.hits]
    assert order == sorted(order)
    paged: list[str] = []
    for offset in range(0, whole.total + 7, 7):
        page = backend.search(TextQuery(tree, limit=7, offset=offset))
        assert page.total == whole.total
        paged += [d["id"] for _, d in page.hits]
    assert paged == ids


def _pages(
    backend: EmbeddedBackend, tree: Node, filters: Node, sort: Sort, limit: int
) -> Iterator[Page]:
    after: Cursor | None = None
    while True:
        page = backend.search(TextQuery(tree, filters, limit=limit, sort=sort, after=after))
        yield page
        after = page.after
        if after is None:
            return


@pytest.mark.parametrize("few", [0, 2_000])
@pytest.mark.parametrize("margin", [1, 7, 1000])
@pytest.mark.parametrize(
    "query", ["effusion OR left", "heart^2 left", "*", "disease:opacity", "no"]
)
def test_cursors_walk_through_one_order(
    backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch, query: str, margin: int, few: int
) -> None:
    monkeypatch.setattr("search.stores.tantivy.pages._MAX_SINGLE_LOOKUPS", few)
    # A narrow margin makes almost every group of equal score reach beyond its window.
    monkeypatch.setattr("search.stores.tantivy.pages._MARGIN", margin)
    monkeypatch.setattr("search.stores.tantivy.pages._SLICE", 40)
    tree = parse(query)
    whole = backend.search(TextQuery(tree, limit=EVERYTHING))
    order = [(-score, d["id"]) for score, d in whole.hits]
    assert order == sorted(order)
    assert whole.after is None
    assert len(set(order)) == whole.total
    pages = list(_pages(backend, tree, MatchAll(), Sort("score"), 13))
    assert [hit for page in pages for hit in page.hits] == list(whole.hits)
    assert {page.total for page in pages} == {whole.total}
    assert [page.after is None for page in pages] == [False] * (len(pages) - 1) + [True]


@pytest.mark.parametrize("field", ["age", "year", "id"])
@pytest.mark.parametrize("descending", [False, True])
def test_sorts(
    backend: EmbeddedBackend, documents: list[Document], field: Any, descending: bool
) -> None:
    filters = parse_filters(["view:frontal"], Vocabulary())
    plain = backend.search(TextQuery(parse("left"), filters, limit=EVERYTHING))
    scores = {d["id"]: score for score, d in plain.hits}
    matching = [d for d in documents if d["id"] in scores]

    def place(document: Document) -> tuple[bool, Any, str]:
        value = document[field]  # type: ignore[literal-required]
        if field == "id":
            return False, int(value, 16) * (-1 if descending else 1), ""
        return value is None, (value or 0) * (-1 if descending else 1), document["id"]

    expected = [d["id"] for d in sorted(matching, key=place)]
    sort = Sort(field, descending)
    hits = [hit for page in _pages(backend, parse("left"), filters, sort, 11) for hit in page.hits]
    assert [d["id"] for _, d in hits] == expected
    assert [score for score, _ in hits] == pytest.approx([scores[i] for i in expected], rel=1e-4)
    by_offset = [
        d["id"]
        for offset in range(0, len(expected) + 11, 11)
        for _, d in backend.search(
            TextQuery(parse("left"), filters, sort=sort, offset=offset, limit=11)
        ).hits
    ]
    assert by_offset == expected
    first = backend.search(TextQuery(parse("left"), filters, sort=sort, limit=5))
    moved = backend.search(
        TextQuery(parse("left"), filters, sort=sort, limit=5, after=first.after, offset=7)
    )
    assert [d["id"] for _, d in moved.hits] == expected[12:17]


def test_a_cursor_outlives_what_comes_and_goes(tmp_path: Path) -> None:
    texts: list[list[tuple[Origin, str]]] = [[("human", "opacity")], [("human", "opacity; left")]]
    documents = [
        image_document(f"{n * 0x9E3779B97F4A7C15 % 2**64:016x}", texts[n % 2]) for n in range(3000)
    ]
    store = EmbeddedTextStore(tmp_path / "text", create=True)
    store.apply(documents, [])
    backend = EmbeddedBackend(store)
    tree = parse("opacity")
    order = [d["id"] for _, d in backend.search(TextQuery(tree, limit=3000)).hits]
    page = backend.search(TextQuery(tree, limit=2500))
    # A cursor stays where it is: what went before it shifts no later hit out of sight.
    store.apply([], order[:1800])
    rest = backend.search(TextQuery(tree, limit=3000, after=page.after))
    assert [d["id"] for _, d in rest.hits] == order[2500:]
    store.apply(documents, [])
    again = backend.search(TextQuery(tree, limit=3000, after=page.after))
    assert [d["id"] for _, d in again.hits] == order[2500:]
    store.close()
