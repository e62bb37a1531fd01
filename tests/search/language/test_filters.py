from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.errors import QueryError
from search.language.fields import FIELDS, Vocabulary
from search.language.filters import parse_choices, parse_filters
from search.language.tree import (
    And,
    Finding,
    Fuzzy,
    MatchAll,
    Node,
    Not,
    Or,
    Phrase,
    Prefix,
    Present,
    Range,
    Term,
    Value,
    Wildcard,
)

VOCABULARY = Vocabulary({"disease": ["opacity", "nodule", "tube, inserted", "a, b, c", "a"]})
OPACITY, NODULE = Value("disease", "opacity"), Value("disease", "nodule")
TUBE = Value("disease", "tube, inserted")
LEFT = Value("side", "left")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("disease:opacity", OPACITY),
        (" Disease : Opacity ", OPACITY),
        ("disease:opacity,nodule", Or((OPACITY, NODULE))),
        ("disease:tube, inserted", TUBE),
        ("disease:tube,inserted,nodule", Or((TUBE, NODULE))),
        ('disease:nodule,"tube, inserted"', Or((NODULE, TUBE))),
        ("disease:a,b,c,a", Or((Value("disease", "a, b, c"), Value("disease", "a")))),
        ("-disease:opacity", Not(OPACITY)),
        ("disease:nod*", Prefix("nod", "disease")),
        ("sex:F", Value("sex", "f")),
        ("age:60", Range("age", 60, 60)),
        ("age:>=60", Range("age", 60, None)),
        ("age:[40 TO 60]", Range("age", 40, 60)),
        ("year:2009,2011", Or((Range("year", 2009, 2009), Range("year", 2011, 2011)))),
        ("report:*", Present("report")),
        ("report:pleural effusion", Phrase("pleural effusion", "report")),
        ("study:00FF", Value("study", "00ff")),
        ('disease:"tube, ins*"', Prefix("tube, ins", "disease")),
        ("disease:*odul?", Wildcard("*odul?", "disease")),
        ("disease:pleural eff*", Prefix("pleural eff", "disease")),
        ("disease:opacty~", Fuzzy("opacty", "disease", 2)),
        ("disease:opacty~1,nodule", Or((Fuzzy("opacty", "disease", 1), NODULE))),
        ("absent:opacity", Value("absent", "opacity")),
        ("composite:opacity, lung, left", Value("composite", "opacity, lung, left")),
        (
            'composite:"opacity, lung","nodule"',
            Or((Value("composite", "opacity, lung"), Value("composite", "nodule"))),
        ),
        ("finding:(opacity left)", Finding(And((Term("opacity"), Term("left"))))),
        ("-finding:(disease:opacity AND side:left)", Not(Finding(And((OPACITY, LEFT))))),
    ],
)
def test_trees(text: str, tree: Node) -> None:
    assert parse_filters([text], VOCABULARY) == tree


def test_several_filters_hold_together() -> None:
    both = parse_filters(["disease:opacity", "disease:nodule"], VOCABULARY)
    assert both == And((OPACITY, NODULE))
    assert parse_filters([], VOCABULARY) == MatchAll()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("opacity", "a filter is field:value"),
        ("disease:", "a filter is field:value"),
        ("", "a filter is field:value"),
        ("diseas:opacity", 'unknown field; did you mean "disease"'),
        ("disease:opacty", 'filter "disease:opacty": no disease .* did you mean disease:"opacity"'),
        ("disease:opacity,", "value is missing"),
        ("age:old", "whole numbers"),
        ("age:60 OR id:0", "more than one value"),
        ("finding:(a b) c", "more than one value"),
        ("finding:(age:5)", "stands inside finding"),
        ("disease:o*", "at least two letters"),
        ("age:[1 TO 2", "not expected|breaks off"),
    ],
)
def test_errors_quote_the_filter(text: str, message: str) -> None:
    with pytest.raises(QueryError, match=message) as caught:
        parse_filters([text], VOCABULARY)
    assert str(caught.value).startswith(f'filter "{text}"')
    assert "column" not in str(caught.value)


@settings(deadline=None)
@given(st.text(max_size=30), st.sampled_from(["", "-", *(f"{field}:" for field in FIELDS)]))
def test_nothing_but_query_errors(text: str, start: str) -> None:
    refused = ""
    try:
        parse_filters([start + text], VOCABULARY)
    except QueryError as error:
        refused = str(error)
    assert refused.isprintable()


def test_choices_of_a_facet_are_any_of_them() -> None:
    chosen = parse_choices(
        ["disease=Opacity", " side = left", "disease=tube, inserted", "age=60"], VOCABULARY
    )
    assert chosen == {"disease": Or((OPACITY, TUBE)), "side": LEFT, "age": Range("age", 60, 60)}
    whole = parse_choices(["composite=opacity, lung, left?"], VOCABULARY)
    assert whole == {"composite": Value("composite", "opacity, lung, left?")}
    assert parse_choices([], VOCABULARY) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("opacity", "a choice is facet=value"),
        ("disease=", "a choice is facet=value"),
        ("diseas=opacity", 'no facet is called "diseas"; did you mean "disease"'),
        ("report=opacity", "no facet is called"),
        ("disease=opacty", 'did you mean disease:"opacity"'),
    ],
)
def test_wrong_choices_are_quoted(text: str, message: str) -> None:
    with pytest.raises(QueryError, match=message) as caught:
        parse_choices([text], VOCABULARY)
    assert str(caught.value).startswith(f'choice "{text}"')


def test_many_values_are_told_apart_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"finding {number}" for number in range(1000)]
    vocabulary = Vocabulary({"disease": [*names, "tube, inserted"]})
    asked: list[str] = []
    find = Vocabulary.find

    def counted(self: Vocabulary, field: str, value: str) -> str | None:
        asked.append(value)
        return find(self, field, value)

    monkeypatch.setattr(Vocabulary, "find", counted)
    tree = parse_filters(["disease:" + ",".join([*names, "tube, inserted"])], vocabulary)
    assert isinstance(tree, Or)
    assert [value.value for value in tree.nodes if isinstance(value, Value)] == [
        *names,
        "tube, inserted",
    ]
    assert len(asked) < 6 * len(names)
