"""Free text read as plain English."""

from __future__ import annotations

import time
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.plain_queries import Case, cases, is_understood
from indexer.errors import QueryError
from search.language.fields import Vocabulary
from search.language.lexicon import Lexicon
from search.language.plain import shorthand
from search.language.plain.free_text import is_free, understand
from search.language.plain.reading import read
from search.language.query import parse
from search.language.tree import Node
from tests.contract.golden_queries import GOLDEN
from tests.search.hostile import hostile_queries

_MIN_UNDERSTOOD = 0.9
_SMOKES = "indication:(smoker OR smoking OR tobacco)"


@pytest.mark.parametrize("apart", [False, True])
def test_queries_are_understood_as_meant(apart: bool) -> None:
    half: list[Case] = [case for case in cases() if case.is_kept_apart == apart]
    assert len(half) >= 100
    missed = [case.text for case in half if not is_understood(case)]
    assert len(missed) <= (1 - _MIN_UNDERSTOOD) * len(half), missed


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("no pneumothorax", "NOT pneumothorax"),
        ("cardiomegaly without effusion", "cardiomegaly AND NOT effusion"),
        ("cardiomegaly w/o effusion", "cardiomegaly AND NOT effusion"),
        ("!effusion", "NOT effusion"),
        ("–effusion", "NOT effusion"),
        ("not normal", "NOT disease:normal"),
        ("no effusion or edema", "NOT (effusion OR edema)"),
        ("no effusion, edema, or mass", "NOT (effusion OR edema OR mass)"),
        ("no effusion, edema, and mass", "NOT (effusion OR edema OR mass)"),
        ("no effusion and edema", "NOT effusion AND edema"),
        ("pneumonia or effusion ruled out", "NOT (pneumonia OR effusion)"),
        ("not without effusion", "effusion"),
        ("effusion and cardiomegaly", "effusion AND cardiomegaly"),
        ("mass or effusion and edema", "(mass OR effusion) AND edema"),
        ("COPD in women over 60", "COPD AND sex:F AND age:>60"),
        ("kids under 5 with pneumonia", "age:<5 AND pneumonia"),
        ("children aged 5 to 10", "age:<18 AND age:[5 TO 10]"),
        ("rib fx", "finding:(fracture AND rib)"),
        ("?effusion", 'uncertain:"pleural effusion" OR indication:effusion'),
        ("cabg pts w effusion", "cabg AND effusion"),
        ("solitary nodule in non smokers", "solitary-nodule AND NOT " + _SMOKES),
        ("nonsmoker with nodule", f"NOT {_SMOKES} AND nodule"),
        (
            "free of pneumothorax and bilateral effusions",
            "NOT (pneumothorax OR finding:(effusions AND bilateral))",
        ),
        ("negative for effusion and edema", "NOT (effusion OR edema)"),
        ("pneumonia - RLL", "finding:(pneumonia AND location:RLL)"),
        ("CHF – pulmonary edema", "CHF AND pulmonary-edema"),
        ("effusion: small, left", "finding:(effusion AND small AND left)"),
        ("nodules c/w mets", "nodules AND mets"),
        (
            "hilar lymphadenopathy, sarcoid?",
            "hilar-lymphadenopathy AND (uncertain:sarcoidosis OR indication:sarcoid)",
        ),
        ("RLL pneumonia?", "uncertain:pneumonia OR indication:(pneumonia AND RLL)"),
        ("pulm HTN", "pulmonary-hypertension"),
        ("lung ca", "lung-cancer"),
        ("mod L effusion", "finding:(effusion AND moderate AND left)"),
        ("small to moderate effusion", "finding:(effusion AND (small OR moderate))"),
        ("effusion R>L", "finding:(effusion AND bilateral)"),
        ("volume loss on L", "finding:(volume-loss AND left)"),
        ("F>50 with COPD", "sex:F AND age:>50 AND COPD"),
        ("without acute abnormality", "disease:normal"),
        ("no acute cardiopulm process", "disease:normal"),
        ("borderline heart size", "finding:(cardiomegaly AND borderline)"),
        (
            "increased interstitial markings, edema vs fibrosis",
            "increased-interstitial-markings AND (edema OR fibrosis)",
        ),
        ("CXR from 2012", "year:2012"),
        ("effusion from 2012 on", "effusion AND year:>=2012"),
        ("anything in RUL", "RUL"),
        ("pneumothorax after central line placement", "pneumothorax AND central-line"),
        ("prior TB", "TB OR indication:TB"),
        ("unilateral effusion", "finding:(effusion AND (left OR right))"),
        ("portable film", "projection:AP"),
        ("only the lateral", "view:lateral"),
        ("65M with CHF", "age:65 AND sex:M AND CHF"),
        ("nodule > 1 cm", "nodule"),
        ("s/p CABG", "CABG"),
        ("post-op", "post-op"),
        (
            "r/o PE",
            'uncertain:"pulmonary embolism" OR uncertain:"pleural effusion" OR indication:PE',
        ),
        ("RLL PNA", "finding:(PNA AND location:RLL)"),
        ("left and right effusion", "finding:(effusion AND left) AND finding:(effusion AND right)"),
        ("opacity in the left lung", "finding:(opacity AND left)"),
        ("widened mediastinum", "widened-mediastinum"),
        ("normal chest", "disease:normal"),
        ("normal mediastinum", "NOT mediastinum"),
        ("tube in right mainstem", "finding:(tube AND right AND mainstem)"),
        ("dual lead pacemaker", "pacemaker AND dual-lead"),
        ("right paraspinal", "right-paraspinal"),
        ("effusion with or without edema", "effusion"),
        ("fever", "indication:(fever OR febrile)"),
        ("pulmonary hypertension", "pulmonary-hypertension"),
        ("adult respiratory distress syndrome", "adult-respiratory-distress-syndrome"),
        ("effusion in 2013", "effusion AND year:2013"),
        ("cardiomegaly", "cardiomegaly"),
        ("left effusion resolved", 'absent:"pleural effusion"'),
        ("resolution of pneumothorax or edema", 'absent:pneumothorax OR absent:"pulmonary edema"'),
        ("resolved pneumonia, cardiomegaly", "absent:pneumonia AND cardiomegaly"),
        ("effusion not resolved", "effusion"),
        ("cavitary mass or effusion", "finding:(mass AND cavitary) OR effusion"),
        ("mass not spiculated RLL", "finding:(mass AND NOT spiculated AND location:RLL)"),
        ("no PTX after ET tube removal", "NOT PTX"),
        ("removal of the central line, effusion", "effusion"),
        ("pacemaker lead fracture", "pacemaker-lead AND fracture"),
    ],
)
def test_readings(text: str, query: str) -> None:
    assert is_free(text)
    found = understand(text)
    assert found is not None
    assert found.query == query


def test_shorthand_is_passed_over_only_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [case.text for case in cases()] + [*Lexicon.load().forms]
    passed = [shorthand.spelt_out(text) for text in texts]
    monkeypatch.setattr(shorthand, "_NEEDED", dict.fromkeys(("word", "phrase", "sign"), ""))
    assert passed == [shorthand.spelt_out(text) for text in texts]


def test_what_was_removed_and_where_it_was_is_named() -> None:
    reading = understand("left effusion resolved s/p chest tube removal")
    assert reading is not None
    assert reading.query == 'absent:"pleural effusion"'
    assert dict(reading.left_out) == {
        "left": "where and how much there was is not known",
        "status post chest tube removal": "what was removed is not in the picture",
    }


def test_what_cannot_be_judged_is_named() -> None:
    reading = read("RUL nodule larger than 8 mm")
    assert reading.query == "finding:(nodule AND location:RUL)"
    assert reading.notes == ('"larger than 8 mm" was left out: sizes are not measured',)
    assert reading.to_json() == {
        "query": "finding:(nodule AND location:RUL)",
        "left_out": [{"text": "larger than 8 mm", "reason": "sizes are not measured"}],
        "given_up": None,
    }


def test_nothing_is_normal_and_has_a_finding() -> None:
    reading = read("clear lungs but cardiomegaly")
    assert reading.query == "cardiomegaly"
    assert reading.notes == ('"clear lungs" was left out: what is not normal stands beside it',)
    assert read("chest pain, normal chest").query == "indication:chest-pain AND disease:normal"


def test_a_question_mark_behind_a_part_of_a_word_stands_for_a_letter() -> None:
    for text in ("nodul?", "gr?y", "effusion nodul?"):
        assert not is_free(text)
        assert read(text).tree == parse(text)


def test_the_query_language_means_what_it_meant() -> None:
    signs = set('"()*?~^:[]{}')
    for query, _, _ in GOLDEN:
        if signs & set(query) or {"AND", "OR", "NOT"} & set(query.split()) or query[0] == "-":
            assert not is_free(query), query
            assert read(query).tree == parse(query)
        assert read(query, literal=True).tree == parse(query)


def test_words_of_the_language_that_look_like_english_are_named() -> None:
    reading = read('"pleural effusion" without cardiomegaly')
    assert reading.tree == parse('"pleural effusion" without cardiomegaly')
    assert reading.understood is None
    assert "to mean NOT, write NOT" in reading.notes[0]
    assert read('"no pneumothorax"').notes == ()


def test_nothing_to_search_for_is_taken_literally() -> None:
    assert read("the").tree == parse("the")
    with pytest.raises(QueryError):
        read("  ")
    with pytest.raises(QueryError, match="surrogate"):
        read("no \ud800")


def test_a_part_is_given_up_and_named_where_nothing_matches() -> None:
    there = {"finding:(effusion AND left)"}
    asked: list[Node] = []

    def count(tree: Node) -> int:
        asked.append(tree)
        return int(tree in [parse(query) for query in there])

    reading = read("small left effusion in women").matching(count, Vocabulary())
    assert reading.query == "finding:(effusion AND left)"
    assert reading.given_up == 'left out: "small", "women"'
    assert reading.notes == ('nothing matches all of it; left out: "small", "women"',)
    there = {"left AND effusion"}
    loose = read("left effusion").matching(lambda t: int(t == parse("effusion AND left")), None)
    assert loose.given_up == "its words may stand anywhere, not in one finding"
    # What matches stays as it is, and a query that nothing helps too.
    assert read("left effusion").matching(lambda _: 1, None) == read("left effusion")
    assert read("left effusion").matching(lambda _: 0, None) == read("left effusion")


def test_a_denial_is_never_all_that_is_left() -> None:
    found = understand("mild cardiomegaly without effusion in men over 90")
    assert found is not None
    for query, _ in found.relaxed():
        assert "cardiomegaly" in query or "mild" in query


def test_a_denial_leaves_out_what_is_likely_before_it_is_given_up() -> None:
    found = understand("COPD without hyperinflation or small left effusion")
    assert found is not None
    assert next(found.relaxed()) == (
        "COPD AND NOT (finding:(hyperinflation AND certainty:likely) OR "
        "finding:(effusion AND small AND left AND certainty:likely))",
        "what is denied is left out only where it is likely",
    )
    found = understand("edema old T8 no")
    assert found is not None
    assert next(found.relaxed())[0] == "NOT (finding:(edema AND old AND certainty:likely) AND T8)"
    # There is nothing weaker where nothing is denied, or no finding is.
    for text in ("small left effusion", "effusion, not female"):
        found = understand(text)
        assert found is not None
        assert not any("likely" in query for query, _ in found.relaxed())


_PIECES = """
no not without w/o and or , / . ; = | & ' +/- ± – ! ? effusion left RLL normal edema women over 60
> 1 cm possible r/o s/p in the chest 65M non calcified 2013 vs both old zebra lead can't ruled out
lungs only hx of x-ray T8 pre-op
"""


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(_PIECES.split()), min_size=1, max_size=12))
def test_any_reading_is_a_query(words: list[str]) -> None:
    text = " ".join(words)
    if not is_free(text) or (found := understand(text)) is None:
        return
    Lexicon.load().expand(parse(found.query, Vocabulary()))
    for query, given_up in islice(found.relaxed(), 12):
        parse(query, Vocabulary())
        assert given_up


def test_hostile_text_is_read_in_time_or_refused() -> None:
    texts = [
        *hostile_queries(300, 1),
        "=" * 9000,
        "no " * 3000,
        "1 x " * 2400,
        "over 60 " * 1200,
        "w/o" * 3000,
    ]
    for text in texts:
        started = time.process_time()
        try:
            read(text)
        except QueryError:
            continue
        finally:
            assert time.process_time() - started < 5
