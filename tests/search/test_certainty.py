"""Likely and possible findings, unusual pictures and notes in the embedded text store."""

from __future__ import annotations

import pytest

from indexer.annotation import Annotation, Certainty, Word
from indexer.archive.deidentify import Metadata
from indexer.archive.reports import Report
from indexer.database.text.documents import Document, build_document
from indexer.database.text.tantivy.store import EmbeddedTextStore
from search.counting import facet_counts
from search.language.query import parse
from search.language.tree import MatchAll
from search.stores.backend import TextQuery
from search.stores.tantivy.backend import EmbeddedBackend


def _annotation(certainty: Certainty, *words: str) -> Annotation:
    named = Annotation.from_words("predicted", words[0], words[1:])
    chance = 0.8 if certainty == "likely" else 0.2
    first = Word(words[0], "disease", chance)
    return Annotation("predicted", (first, *named.words[1:]), certainty)


def _document(
    number: int,
    *annotations: Annotation,
    unusual: float = 0.0,
    human: str = "",
    notes: tuple[str, ...] = (),
) -> Document:
    reading = {
        "annotations": [annotation.to_json() for annotation in annotations],
        "probabilities": {},
        "view": "frontal",
        "unusual": unusual,
    }
    by_people = (Annotation.from_words("human", human, ()),) if human else ()
    report = Report("r", {}, by_people) if human else None
    metadata = Metadata(notes=notes)
    return build_document(f"{number:016x}", f"s{number}", "p", metadata, reading, report)


DOCUMENTS = [
    _document(1, _annotation("likely", "effusion", "left"), _annotation("possible", "opacity")),
    _document(2, _annotation("possible", "effusion", "left"), _annotation("likely", "opacity")),
    _document(3, _annotation("possible", "effusion", "right"), human="effusion"),
    _document(4, unusual=0.97, notes=("looks_inverted", "window_ignored")),
]


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedBackend:
    store = EmbeddedTextStore(tmp_path_factory.mktemp("text") / "index", create=True)
    store.apply(DOCUMENTS, ())
    return EmbeddedBackend(store)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("effusion", {1, 2, 3}),
        ("effusion certainty:likely", {1, 3}),
        ("effusion certainty:possible", {2, 3}),
        ("disease:effusion AND certainty:likely", {1, 3}),
        ("(disease:effusion OR disease:opacity) certainty:likely", {1, 2, 3}),
        ("certainty:likely NOT disease:effusion", {2}),
        ("finding:(effusion AND left AND certainty:likely)", {1}),
        ("finding:(effusion AND left) certainty:likely", {1}),
        ("effusion origin:human certainty:likely", {3}),
        ("disease:effusion AND origin:predicted AND certainty:likely", {1}),
        ("likely:effusion", {1, 3}),
        ("possible:effusion", {2}),
        ("unusual:yes", {4}),
        ("note:looks_inverted", {4}),
        ("NOT note:*", {1, 2, 3}),
        ("effusion unusual:no", {1, 2, 3}),
    ],
)
def test_queries(backend: EmbeddedBackend, query: str, found: set[int]) -> None:
    page = backend.search(TextQuery(parse(query)))
    assert {int(document["id"], 16) for _, document in page.hits} == found
    assert page.total == len(found)


def test_a_filter_narrows_the_query_too(backend: EmbeddedBackend) -> None:
    page = backend.search(TextQuery(parse("effusion"), parse("certainty:likely")))
    assert {int(document["id"], 16) for _, document in page.hits} == {1, 3}


def test_facets_count_likely_and_possible_apart(backend: EmbeddedBackend) -> None:
    names = ("certainty", "likely", "possible", "unusual", "note")
    facets = backend.search(TextQuery(MatchAll(), facets=names)).facets
    counts = {name: {c.value: c.count for c in facets[name]} for name in names}
    assert counts == {
        "certainty": {"likely": 3, "possible": 3},
        "likely": {"effusion": 2, "opacity": 1},
        "possible": {"opacity": 1, "effusion": 1},
        "unusual": {"no": 3, "yes": 1},
        "note": {"looks_inverted": 1, "window_ignored": 1},
    }
    beside = facet_counts(DOCUMENTS, names, 10)
    assert {n: {c.value: c.count for c in beside[n]} for n in names} == counts


def test_a_reading_of_an_earlier_version_gets_its_certainty_by_probability() -> None:
    old = _annotation("likely", "effusion").to_json()
    for chance, certainty in ((0.51, "likely"), (0.49, "possible")):
        data = {k: v for k, v in old.items() if k != "certainty"} | {"confidence": chance}
        reading = {"annotations": [data], "probabilities": {}, "view": "frontal"}
        document = build_document("0" * 16, "s", "p", Metadata(), reading)
        assert document["annotations"][0]["certainty"] == certainty
        assert document["unusual"] == 0
