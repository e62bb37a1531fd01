"""Scores, facets, findings and suggestions of the embedded store."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from indexer.database.text.documents import Document
from indexer.database.text.tantivy.store import EmbeddedTextStore
from indexer.errors import QueryError
from search.counting import facet_counts
from search.language.fields import Vocabulary
from search.language.filters import parse_choices, parse_filters
from search.language.query import parse
from search.stores.backend import TextQuery
from search.stores.tantivy.backend import EmbeddedBackend
from tests.search.corpus import image_document
from tests.search.stores.test_tantivy import (
    EVERYTHING,
    _found,
    _matches,
)


def test_annotations_weigh_more_than_reports(backend: EmbeddedBackend) -> None:
    page = backend.search(TextQuery(parse("heart"), limit=EVERYTHING))
    scores: dict[bool, list[float]] = {True: [], False: []}
    for score, document in page.hits:
        labelled = any("heart" in a["text"].split(", ") for a in document["annotations"])
        scores[labelled].append(score)
    assert sum(scores[True]) / len(scores[True]) > max(scores[False])


def test_boosts_count_in_the_score(backend: EmbeddedBackend) -> None:
    def scores(query: str) -> dict[str, float]:
        page = backend.search(TextQuery(parse(query), limit=EVERYTHING))
        return {document["id"]: score for score, document in page.hits}

    plain, boosted = scores("opacity"), scores("opacity^2.5")
    assert boosted == pytest.approx({i: 2.5 * score for i, score in plain.items()}, rel=1e-4)
    left, either = scores("left"), scores("opacity OR left^4")
    both = plain.keys() & left.keys()
    assert both
    expected = {i: plain[i] + 4 * left[i] for i in both}
    assert {i: either[i] for i in both} == pytest.approx(expected, rel=1e-4)


def test_findings_do_not_mix(tmp_path: Path) -> None:
    documents = [
        image_document("1" * 16, [("human", "effusion; right"), ("human", "opacity; left")]),
        image_document("2" * 16, [("human", "effusion; left"), ("predicted", "opacity; left")]),
        image_document("3" * 16, [("predicted", "pleural effusion; left; small")]),
        image_document("4" * 16, report={"findings": "Zebra effusion. No left nodule."}),
    ]
    store = EmbeddedTextStore(tmp_path / "text", create=True)
    store.apply(documents, [])
    backend = EmbeddedBackend(store)
    for query, digits in {
        "effusion left": "123",
        "finding:(effusion AND left)": "23",
        "finding:(effusion left origin:human)": "2",
        "finding:(effusion AND left) origin:predicted": "3",
        "finding:(effusion -left)": "14",
        "-finding:(effusion -left)": "23",
        'finding:("effusion, left")': "23",
        'finding:("effusion small")': "",
        "finding:(disease:effusion AND side:left)": "2",
        "finding:(*fusion AND smal~)": "3",
        "finding:(effusions)": "1234",
        "finding:((left OR right) opacity)": "12",
    }.items():
        tree = parse(query, Vocabulary({"disease": ["effusion"]}))
        hits = backend.search(TextQuery(tree)).hits
        assert sorted(document["id"][0] for _, document in hits) == list(digits), query
    # Annotations that come later are known to findings, too.
    store.apply([image_document("5" * 16, [("human", "effusion; left; large")])], [])
    assert backend.search(TextQuery(parse("finding:(large effusion)"))).total == 1
    store.close()


def test_what_a_report_denies_is_not_found(tmp_path: Path) -> None:
    documents = [
        image_document("1" * 16, report={"findings": "No pneumothorax or zebra."}),
        image_document("2" * 16, report={"impression": "Small left pneumothorax."}),
        image_document("3" * 16, report={"indication": "Pneumothorax?", "findings": "Clear."}),
        image_document("4" * 16, report={"findings": "Possible pneumothorax."}),
        image_document("5" * 16, [("predicted", "pneumothorax")], {"findings": "Clear."}),
    ]
    store = EmbeddedTextStore(tmp_path / "text", create=True)
    store.apply(documents, [])
    backend = EmbeddedBackend(store)
    for query, digits in {
        "pneumothorax": "25",
        "*thorax": "25",
        "pneumotorax~": "25",
        "-pneumothorax": "134",
        "report:pneumothorax": "1234",
        "indication:pneumothorax": "3",
        "absent:pneumothorax": "1",
        "uncertain:pneumothorax": "4",
        "disease:pneumothorax": "25",
        "pneumothorax origin:report": "2",
        "pneumothorax origin:predicted": "5",
        "absent:pneumo*": "1",
        "zebra": "",
    }.items():
        hits = backend.search(TextQuery(parse(query))).hits
        assert sorted(document["id"][0] for _, document in hits) == list(digits), query
    store.close()


def test_facets_against_brute_force(backend: EmbeddedBackend, documents: list[Document]) -> None:
    labels = ("disease", "side", "origin", "composite", "absent", "uncertain")
    names = (*labels, "sex", "age", "view", "projection")
    query, filters = parse("left"), parse_filters(["year:2013"], Vocabulary())
    page = backend.search(TextQuery(query, filters, facets=names, facet_size=EVERYTHING, limit=0))
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
    short = backend.search(TextQuery(query, filters, facets=["disease"], facet_size=2))
    assert short.facets["disease"] == page.facets["disease"][:2]


def test_beginnings_of_ids(backend: EmbeddedBackend, documents: list[Document]) -> None:
    ids = sorted(d["id"] for d in documents)
    for prefix in (ids[0], ids[5][:7], "00", "ff", ids[-1][:2]):
        assert _found(backend, f"id:{prefix}*") == {i for i in ids if i.startswith(prefix)}
    assert _found(backend, "id:xyz*") == set()


def test_values(backend: EmbeddedBackend) -> None:
    assert sorted(backend.values("sex")) == ["f", "m"]
    assert sorted(backend.values("origin")) == ["human", "predicted", "report"]
    assert sorted(backend.values("absent")) == ["pleural effusion", "pneumothorax"]
    assert backend.values("projection") == []


def test_pages_beyond_the_end(backend: EmbeddedBackend) -> None:
    for query in ("effusion", "*"):
        page = backend.search(TextQuery(parse(query), limit=20, offset=10**15))
        assert page.total > 0
        assert not page.hits


def test_a_choice_does_not_shrink_its_own_facet(
    backend: EmbeddedBackend, documents: list[Document]
) -> None:
    vocabulary = Vocabulary({"disease": backend.values("disease")})
    names = ("disease", "side", "view", "sex")
    query, filters = parse("left"), parse_filters(["year:2013"], vocabulary)
    chosen = parse_choices(["disease=opacity", "disease=nodule", "sex=F"], vocabulary)
    page = backend.search(TextQuery(query, filters, facets=names, limit=EVERYTHING, chosen=chosen))
    matching = [d for d in documents if _matches(query, d) and d["year"] == 2013]

    def meeting(*facets: str) -> list[Document]:
        return [d for d in matching if all(_matches(chosen[facet], d) for facet in facets)]

    assert {d["id"] for _, d in page.hits} == {d["id"] for d in meeting("disease", "sex")}
    assert page.total == len(page.hits) > 0
    for name, others in {
        "disease": ["sex"],
        "sex": ["disease"],
        "side": ["disease", "sex"],
        "view": ["disease", "sex"],
    }.items():
        expected = facet_counts(meeting(*others), [name], 20)[name]
        assert page.facets[name] == expected, name
    assert list(page.facets) == list(names)


def test_suggestions(backend: EmbeddedBackend) -> None:
    assert backend.suggest("efusion")[0] == "effusion"
    assert backend.suggest("cardiomegly") == ["cardiomegaly"]
    assert backend.suggest("lfet") == ["left"]
    for known in ("effusion", "Effusions", "enlarging", "LEFT"):
        assert backend.suggest(known) == []
    for hopeless in ("zebra", "x", "", "...", "two words", "q" * 5000):
        assert backend.suggest(hopeless) == []


def test_patterns_without_a_beginning_are_bounded(backend: EmbeddedBackend) -> None:
    with pytest.raises(QueryError, match="a study is searched by its beginning"):
        backend.search(TextQuery(parse("study:*00")))
