from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable

import pytest

from indexer.annotation import Origin
from indexer.database.documents import Document
from search.backends.embedded import EmbeddedBackend
from search.facets import facet_counts
from search.filters import parse_filters
from search.query import parse
from search.tree import And, MatchAll, Node, Not, Or, Phrase, Prefix, Range, Value, Word, narrow
from search.vocabulary import Vocabulary

EVERYTHING = 10_000
_LABELS = ("disease", "organ", "location", "side", "severity")


def _found(backend: EmbeddedBackend, query: str, *filters: str) -> set[str]:
    vocabulary = Vocabulary({"disease": backend.values("disease")})
    page = backend.search(
        parse(query, vocabulary), parse_filters(filters, vocabulary), limit=EVERYTHING
    )
    assert page.total == len(page.hits)
    return {document["id"] for _, document in page.hits}


def _words(text: str) -> list[str]:
    """Tokens, the plurals of the corpus made singular."""
    return re.findall(r"\w+", text.lower().replace("opacities", "opacity").replace("lungs", "lung"))


def _matches(node: Node, document: Document, origin: Origin | None = None) -> bool:
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
        case Range(field, low, high):
            number = document[field]  # type: ignore[literal-required]
            return (
                number is not None
                and (low is None or number >= low)
                and (high is None or number <= high)
            )
        case Value(field, value, origin):
            if field == "origin":
                return any(a["origin"] == value for a in document["annotations"])
            if field in _LABELS:
                return any(
                    (word["kind"], word["text"]) == (field, value)
                    for annotation in document["annotations"]
                    if origin in (None, annotation["origin"])
                    for word in annotation["words"]
                )
            return str(document[field]).lower() == value  # type: ignore[literal-required]
        case Word(text, field, origin) | Phrase(text, field, origin) | Prefix(text, field, origin):
            wanted = _words(text)
            texts = []
            if field in (None, "annotation"):
                texts += [
                    a["text"] for a in document["annotations"] if origin in (None, a["origin"])
                ]
            if field != "annotation" and not (field is None and origin):
                sections = document["report"] or {}
                texts += [t for name, t in sections.items() if field in (None, "report", name)]
            if isinstance(node, Prefix):
                return any(w.startswith(text) for t in texts for w in re.findall(r"\w+", t.lower()))
            n = len(wanted)
            return any(
                tokens[i : i + n] == wanted
                for tokens in map(_words, texts)
                for i in range(len(tokens) - n + 1)
            )
    raise AssertionError(node)


def _random_tree(rng: random.Random, depth: int) -> Node:
    if depth == 0 or rng.random() < 0.25:
        field = rng.choice((None, "annotation", "report", "findings", "impression"))
        leaf: Callable[[], Node] = rng.choice(
            (
                lambda: Word(rng.choice(("heart", "left", "opacity", "clear", "zebra")), field),
                lambda: Phrase(rng.choice(("pleural effusion", "left base", "base lung")), field),
                lambda: Prefix(rng.choice(("pleu", "cardi", "opacit", "xyz")), field),
                lambda: Value("disease", rng.choice(("opacity", "normal", "tube, inserted"))),
                lambda: Value("side", rng.choice(("left", "right", "bilateral"))),
                lambda: Value("sex", rng.choice("mf")),
                lambda: Value("origin", rng.choice(("human", "predicted", "report"))),
                lambda: Range("age", rng.choice((None, 34, 50)), rng.choice((51, 68, 95))),
                MatchAll,
            )
        )
        return leaf()
    children = tuple(_random_tree(rng, depth - 1) for _ in range(rng.randint(2, 3)))
    kind = rng.random()
    return And(children) if kind < 0.5 else Or(children) if kind < 0.8 else Not(children[0])


@pytest.mark.parametrize("seed", range(120))
def test_random_trees_against_brute_force(
    backend: EmbeddedBackend, documents: list[Document], seed: int
) -> None:
    tree = _random_tree(random.Random(seed), 3)
    meaning = narrow(tree)
    expected = {d["id"] for d in documents if _matches(meaning, d)}
    page = backend.search(tree, MatchAll(), limit=EVERYTHING)
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
    assert _found(backend, f"study:{documents[7]['study']}") == {d["id"] for d in documents[6:9]}
    assert _found(backend, "enlarg* -enlarged") == set()


def test_filters_select_and_do_not_score(backend: EmbeddedBackend) -> None:
    plain = backend.search(parse("opacity"), MatchAll(), limit=EVERYTHING)
    vocabulary = Vocabulary({"disease": backend.values("disease")})
    chosen = parse_filters(["view:lateral", "age:>40"], vocabulary)
    filtered = backend.search(parse("opacity"), chosen, limit=EVERYTHING)
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
    whole = backend.search(tree, MatchAll(), limit=EVERYTHING)
    ids = [d["id"] for _, d in whole.hits]
    assert len(set(ids)) == whole.total == len(ids) > 40
    order = [(-score, d["id"]) for score, d in whole.hits]
    assert order == sorted(order)
    paged: list[str] = []
    for offset in range(0, whole.total + 7, 7):
        page = backend.search(tree, MatchAll(), limit=7, offset=offset)
        assert page.total == whole.total
        paged += [d["id"] for _, d in page.hits]
    assert paged == ids


def test_pages_beyond_the_sorted_ones(
    backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.backends.embedded._SORTED_HITS", 10)
    test_pages: list[str] = []
    for offset in range(0, 700, 9):
        page = backend.search(parse("effusion OR left"), MatchAll(), limit=9, offset=offset)
        test_pages += [d["id"] for _, d in page.hits]
    assert len(test_pages) == len(set(test_pages)) == page.total


def test_annotations_weigh_more_than_reports(backend: EmbeddedBackend) -> None:
    page = backend.search(parse("cardiomegaly"), MatchAll(), limit=EVERYTHING)
    scores: dict[bool, list[float]] = {True: [], False: []}
    for score, document in page.hits:
        labelled = any(a["disease"] == "cardiomegaly" for a in document["annotations"])
        scores[labelled].append(score)
    assert sum(scores[True]) / len(scores[True]) > max(scores[False])


def test_facets_against_brute_force(backend: EmbeddedBackend, documents: list[Document]) -> None:
    names = ("disease", "side", "sex", "age", "view", "origin", "projection")
    query, filters = parse("left"), parse_filters(["year:2013"], Vocabulary())
    page = backend.search(query, filters, facets=names, limit=0)
    assert not page.hits
    matching = [d for d in documents if _matches(query, d) and d["year"] == 2013]
    assert page.total == len(matching)
    assert page.facets == facet_counts(matching, names, EVERYTHING)
    disease = {c.value: c.count for c in page.facets["disease"]}
    assert disease == Counter(
        name for d in matching for name in {a["disease"] for a in d["annotations"]}
    )
    assert {c.value: c.count for c in page.facets["age"]} == Counter(
        d["age"] for d in matching if d["age"]
    )
    counts = [(-c.count, c.value) for c in page.facets["disease"]]
    assert counts == sorted(counts)
    short = backend.search(query, filters, facets=["disease"], facet_size=2)
    assert short.facets["disease"] == page.facets["disease"][:2]


def test_beginnings_of_ids(backend: EmbeddedBackend, documents: list[Document]) -> None:
    ids = sorted(d["id"] for d in documents)
    for prefix in ("a", ids[0], ids[5][:7], "0", "f"):
        assert _found(backend, f"id:{prefix}*") == {i for i in ids if i.startswith(prefix)}
    assert _found(backend, "id:xyz*") == set()


def test_values(backend: EmbeddedBackend) -> None:
    assert sorted(backend.values("sex")) == ["f", "m"]
    assert sorted(backend.values("origin")) == ["human", "predicted"]
    assert backend.values("projection") == []


def test_pages_beyond_the_end(backend: EmbeddedBackend) -> None:
    for query in ("effusion", "*"):
        page = backend.search(parse(query), MatchAll(), limit=20, offset=10**15)
        assert page.total > 0
        assert not page.hits
