"""By meaning and by several things at once, over a small database whose text space is planted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.text_space import TextSpace
from indexer.errors import QueryError
from indexer.words import sentences
from search.hybrid.combined import demands, query_sentence
from search.language.fields import Vocabulary
from search.language.query import parse
from search.language.tree import And, MatchAll, Node, Not, Range, Term, Value
from search.service import SearchService
from tests.search.asking import similar, together, words
from tests.search.hybrid.conftest import (
    IDS,
    IMAGES,
    NAMES,
    _fill,
    _reading,
    names,
    why,
)


def test_a_sentence_finds_what_means_the_same(engine: SearchService) -> None:
    found = together(engine, "fluid around the lung", "semantic")
    assert names(found)[0] == "effusion left"
    assert set(names(found)[:4]) == {"effusion left", "effusion right", "fluid seen", "pacemaker"}
    assert why(found, "effusion left") == {
        "annotation": "pleural effusion, left",
        "picture": None,
    }
    # Found by its picture alone: no annotation of it means so.
    assert why(found, "fluid seen") == {"picture": None}
    assert found.total == len(IMAGES)
    assert found.notes == ()
    scores = [hit.score for hit in found.hits]
    assert scores == sorted(scores, reverse=True)


def test_pictures_are_scored_by_how_well_they_fit(engine: SearchService, placed: Bundle) -> None:
    found = together(engine, "fluid around the lung", "semantic")
    sentence = sentences.encode(["fluid around the lung"])[0]
    direction, constant = TextSpace.of(placed).direction(sentence)
    for hit in found.hits:
        embedding = _reading(placed, NAMES[hit.id]).embedding
        (score,) = (reason.score for reason in hit.reasons if reason.kind == "picture")
        assert score == pytest.approx(float(embedding @ direction) + constant, abs=2e-3)


def test_a_sentence_is_never_parsed(engine: SearchService) -> None:
    for sentence in ('("fluid around', "fluid: around the lung?!", "AND OR", "\udcff fluid"):
        assert len(together(engine, sentence, "semantic").hits) == len(IMAGES)
        with pytest.raises(QueryError):
            together(engine, "(" + sentence, "hybrid")
    for sentence in ("", "  \n"):
        with pytest.raises(QueryError, match="nothing to search for"):
            together(engine, sentence, "semantic")
    with pytest.raises(QueryError, match="at most 2000"):
        together(engine, "x" * 2001, "semantic")


def test_filters_hold_whatever_finds(engine: SearchService) -> None:
    women = {name for name, (_, _, sex, _) in IMAGES.items() if sex == "F"}
    for mode in ("semantic", "hybrid"):
        found = together(engine, "fluid", mode, filters=["sex:F"], image=IDS["fluid seen"])
        assert set(names(found)) == women
        assert found.total == len(women)
        none = together(engine, "fluid", mode, filters=["age:>100"], image=IDS["fluid seen"])
        assert (none.total, list(none.hits)) == (0, [])


def test_an_origin_narrows_the_annotations(engine: SearchService) -> None:
    found = together(engine, "fluid around the lung", "semantic", filters=["origin:human"])
    assert names(found) == ["pacemaker"]
    assert why(found, "pacemaker")["annotation"] == "pleural effusion, left"
    others = together(engine, "fluid around the lung", "semantic", filters=["origin:predicted"])
    assert "annotation" not in why(others, "pacemaker")


def test_hybrid_adds_words_to_meaning(engine: SearchService) -> None:
    found = together(engine, "effusion left", "hybrid")
    assert names(found)[0] == "effusion left"
    assert why(found, "effusion left") == {
        "words": None,
        "annotation": "pleural effusion, left",
        "picture": None,
    }
    assert "words" not in why(found, "effusion right")
    assert set(why(found, "pacemaker")) >= {"words", "annotation"}
    first = found.hits[0]
    assert first.highlights is not None
    assert [f.to_html() for f in first.highlights.annotations] == [
        "pleural <em>effusion</em>, <em>left</em>"
    ]
    scores = {hit.id: hit.score for hit in words(engine, "effusion left").hits}
    for hit in found.hits:
        of_words = [r.score for r in hit.reasons if r.kind == "words"]
        assert of_words == ([scores[hit.id]] if hit.id in scores else [])


def test_demands_of_the_query_hold_for_all(engine: SearchService) -> None:
    assert set(names(together(engine, "effusion sex:M", "hybrid"))) == {
        name for name, (_, _, sex, _) in IMAGES.items() if sex == "M"
    }
    assert "effusion left" not in names(together(engine, "effusion NOT left", "hybrid"))
    only = together(engine, "age:>60", "hybrid")
    assert set(names(only)) == {"fracture", "pacemaker"}
    assert only.notes == ("the query has no words that could mean something; it is answered as is",)


@pytest.mark.parametrize(
    ("query", "demand", "sentence"),
    [
        ("fluid around", MatchAll(), "fluid around"),
        ("effusion NOT left", Not(Term("left")), "effusion"),
        ("disease:cardiomegaly age:>60", Range("age", 61, None), "cardiomegaly"),
        ("mass sex:F", Value("sex", "f"), "mass"),
        ("mass OR sex:F", MatchAll(), "mass"),
        ("id:0a* report:wir* wire*", None, "wire"),
    ],
)
def test_what_a_query_demands_and_says(query: str, demand: Node | None, sentence: str) -> None:
    tree = parse(query, Vocabulary({"disease": ["cardiomegaly"]}))
    assert query_sentence(tree) == sentence
    if demand is None:
        assert isinstance(tree, And)
        demand = tree.nodes[0]
    assert demands(tree) == demand


def test_unusual_pictures_are_left_out_unless_asked_for(placed: Bundle, tmp_path: Path) -> None:
    odd = "effusion left"
    _fill(tmp_path / "db", placed, list(IMAGES), unusual=[odd])
    with SearchService(tmp_path / "db", Compute(placed.path, "cpu")) as service:
        asked: tuple[dict[str, Any], ...] = (
            {"mode": "semantic"},
            {"mode": "hybrid"},
            {"mode": "words", "image": IDS["effusion right"]},
        )
        for how in asked:
            sentence = "pleural effusion"
            assert odd not in names(together(service, sentence, **how)), how
            assert odd in names(together(service, sentence, **how, include_unusual=True)), how
            only = together(service, sentence, **how, filters=["unusual:yes"])
            assert names(only) == [odd], how
        assert odd not in names(similar(service, IDS["effusion right"]))
        assert names(similar(service, IDS["effusion right"], filters=["unusual:yes"])) == [odd]
        assert odd in names(words(service, "pleural effusion"))
