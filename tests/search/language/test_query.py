from __future__ import annotations

import pytest

from indexer.errors import QueryError
from search.language.fields import Vocabulary
from search.language.query import MAX_DEPTH, MAX_LENGTH, MAX_SHAPES, MAX_TERMS, parse
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
    Present,
    Range,
    Term,
    Value,
    Wildcard,
    conjunction,
    narrow,
    required_origin,
)

VOCABULARY = Vocabulary(
    {"disease": ["pleural effusion", "opacity", "aorta, thoracic"], "organ": ["lung"]},
    lambda: {"disease": ["cardiomegaly", "normal"]},
)
A, B, C = Term("a"), Term("b"), Term("c")
EFFUSION = Value("disease", "pleural effusion")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a", A),
        ("a b", And((A, B))),
        ("a AND b AND (c)", And((A, B, C))),
        ("a OR b c", And((Or((A, B)), C))),
        ("a OR b AND c", Or((A, And((B, C))))),
        ("a OR (b OR c)", Or((A, B, C))),
        ("NOT a", Not(A)),
        ("a -b", And((A, Not(B)))),
        ("a NOT b", And((A, Not(B)))),
        ("+a b", And((A, B))),
        ("-(a OR b)", Not(Or((A, B)))),
        ('"a b"', Phrase("a b")),
        (r'"say \"ah\""', Phrase('say "ah"')),
        ("x-ray", Term("x-ray")),
        ("a and b", And((A, Term("and"), B))),
        ("cardio*", Prefix("cardio")),
        ("*", MatchAll()),
        ("*:*", MatchAll()),
        ("a *", A),
        ("disease:cardiomegaly", Value("disease", "cardiomegaly")),
        ('Disease:"Pleural  EFFUSION"', Value("disease", "pleural effusion")),
        ("disease:pneumo*", Prefix("pneumo", "disease")),
        (
            'disease:(opacity OR "pleural effusion")',
            Or((Value("disease", "opacity"), Value("disease", "pleural effusion"))),
        ),
        ("side:(left -right)", And((Value("side", "left"), Not(Value("side", "right"))))),
        ("report:a", Term("a", "report")),
        ('impression:"a b"', Phrase("a b", "impression")),
        ("report:*", Present("report")),
        ("annotation:effus*", Prefix("effus", "annotation")),
        ("sex:female", Value("sex", "f")),
        ("sex:M", Value("sex", "m")),
        ("view:lateral", Value("view", "lateral")),
        ("age:60", Range("age", 60, 60)),
        ("age:>60", Range("age", 61, None)),
        ("age:>=60", Range("age", 60, None)),
        ("age:<60", Range("age", None, 59)),
        ("age:<=60", Range("age", None, 60)),
        ("age:[40 TO 60]", Range("age", 40, 60)),
        ("age:{40 TO 60}", Range("age", 41, 59)),
        ("age:[* TO 60}", Range("age", None, 59)),
        ("age:[* TO *]", Present("age")),
        ("year:(2009 OR 2010)", Or((Range("year", 2009, 2009), Range("year", 2010, 2010)))),
        ("id:00FF*", Prefix("00ff", "id")),
        ("study:ABC", Value("study", "abc")),
        ("origin:human", Value("origin", "human")),
        ("side:-left", Not(Value("side", "left"))),
        ("absent:Opacity", Value("absent", "opacity")),
        ("uncertain:cardiomegaly", Value("uncertain", "cardiomegaly")),
        ('composite:"Opacity,  Lung, zebra"', Value("composite", "opacity, lung, zebra")),
        ("ef*sion", Wildcard("ef*sion")),
        ("*Thorax", Wildcard("*thorax")),
        ("gr?y**", Wildcard("gr?y*")),
        ("ab**", Prefix("ab")),
        ("disease:*eff*", Wildcard("*eff*", "disease")),
        (r"disease:Pleural\ eff*", Prefix("pleural eff", "disease")),
        ("efusion~", Fuzzy("efusion", None, 2)),
        ("Mass~", Fuzzy("mass", None, 1)),
        ("opacty~1", Fuzzy("opacty", None, 1)),
        ("disease:opacty~2", Fuzzy("opacty", "disease", 2)),
        ("a^2", Boost(A, 2.0)),
        ("(a OR b)^0.5 c", And((Boost(Or((A, B)), 0.5), C))),
        ('report:"a b"^3', Boost(Phrase("a b", "report"), 3.0)),
        ("report:(abc~ ^2 OR b)", Or((Boost(Fuzzy("abc", "report", 1), 2.0), Term("b", "report")))),
        ("finding:a", Finding(A)),
        ("finding:*", Finding(MatchAll())),
        ("finding:(a AND side:left)", Finding(And((A, Value("side", "left"))))),
        ("finding:(a OR -b)", Finding(Or((A, Not(B))))),
        ('finding:(disease:"pleural effusion" lef*)', Finding(And((EFFUSION, Prefix("lef"))))),
        ("finding:(a origin:human)", Finding(A, "human")),
        ("finding:origin:report", Finding(MatchAll(), "report")),
        ("(finding:a)^2 c", And((Boost(Finding(A), 2.0), C))),
    ],
)
def test_trees(text: str, tree: Node) -> None:
    assert parse(text, VOCABULARY) == tree


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("diseese:opacity", 1, 'unknown field "diseese"; did you mean "disease"?'),
        ("a AND zzz:1", 7, 'unknown field "zzz"; there are disease, organ'),
        ("disease:cardiomegally", 9, 'no disease .* did you mean disease:"cardiomegaly"'),
        ("disease:pleural effusion", 9, 'did you mean disease:"pleural effusion"'),
        ("a side:lft", 8, 'did you mean side:"left"'),
        ("view:sideways", 6, "no view is called"),
        ("origin:robot", 8, "no origin is called"),
        ("sex:x", 5, "no sex is called"),
        ("age:old", 5, "takes whole numbers"),
        ("age:[40 TO x]", 12, "takes whole numbers"),
        ("age:[60 TO 40]", 5, "range is empty"),
        ("age:6*", 5, "takes numbers"),
        ("age:[-1 TO 5]", 6, "takes whole numbers"),
        ("side:[a TO b]", 7, "a range needs a number field: age or year"),
        ("[1 TO 2]", 2, "a range needs a number field"),
        ("(a", 3, r'a "\(" is never closed'),
        ("a)", 2, "closes nothing"),
        ("a ()", 4, "comes too early"),
        ("a AND", 6, "a word is missing"),
        ("age:", 5, "a word is missing"),
        ("AND a", 1, "AND has no word before it"),
        ("a AND OR b", 7, "OR has no word before it"),
        ('a "b', 3, "quotation mark is never closed"),
        ("a 'b", 3, "no word starts with '"),
        ("a ]", 3, "not expected"),
        ("a~2", 1, "at least 3 letters"),
        ("a ab-c~", 3, "letters and digits only"),
        ("abc~3", 1, "1 or 2"),
        ("abc~0.5", 1, "1 or 2"),
        ("abc*~", 4, "do not go together"),
        ("year:201~", 6, "takes numbers"),
        ('"a b"~2', 1, "distance"),
        ("b a^0", 3, "above 0, at most 100"),
        ("a^101", 1, "above 0, at most 100"),
        ("a^", 1, "above 0, at most 100"),
        ("((((a^99)^99)^99)^99)", 5, "too much together"),
        ("a^1.2.3", 2, "malformed"),
        ("/a.*/", 1, "regular expressions"),
        ("e*", 2, "at least two letters"),
        ("b *e", 3, "at least two letters"),
        ("?", 1, "at least two letters"),
        ("disease:e*", 10, "at least two letters"),
        ("x-r*y", 4, "letters and digits only"),
        (r"disease:ab\*c*", 14, r"no value has a \*"),
        ("x a*b*c*d*e*f*g", 4, r"more than 5 \*"),
        ("*ab " * (MAX_SHAPES + 1), 4 * MAX_SHAPES + 1, "wildcards and fuzzy words"),
        ("finding:(age:5)", 10, 'field "age" stands inside finding'),
        ("finding:(a AND report:b)", 16, 'field "report" stands inside finding'),
        ("finding:(b finding:a)", 12, 'field "finding" stands inside finding'),
        ("report:(finding:a)", 9, 'field "finding" stands inside field "report"'),
        ("finding:(a OR origin:human)", 1, "one origin at most"),
        ("finding:(origin:human origin:report)", 1, "one origin at most"),
        ("a finding:(b^2)", 12, "a boost stands around"),
        ("finding:(disease:opcity)", 18, 'did you mean disease:"opacity"'),
        ("absent:opcity", 8, 'no absent .* did you mean absent:"opacity"'),
        ("!!!", 1, "no letter or digit"),
        ("disease:(side:left)", 10, 'field "side" stands inside field "disease"'),
        ("a:b:c", 1, "unknown field"),
        ("a \ud800", 3, "surrogate"),
        ("(" * 60 + "a" + ")" * 60, MAX_DEPTH + 2, "levels of nesting"),
        ("-" * 200 + "a", MAX_DEPTH + 2, "levels of nesting"),
        ("ab " * (MAX_TERMS + 1), 3 * MAX_TERMS + 1, "words and values"),
    ],
)
def test_errors_name_the_column(text: str, column: int, message: str) -> None:
    with pytest.raises(QueryError, match=message) as caught:
        parse(text, VOCABULARY)
    assert str(caught.value).startswith(f"column {column}: ")


@pytest.mark.parametrize("text", ["", "  \n", "a" * (MAX_LENGTH + 1)])
def test_empty_and_huge(text: str) -> None:
    with pytest.raises(QueryError):
        parse(text)


def test_every_closed_value_of_every_database_is_known() -> None:
    empty = Vocabulary()
    for text in ("sex:f", "side:bilateral", "severity:severe", "view:frontal", "origin:report"):
        parse(text, empty)
    with pytest.raises(QueryError):
        parse("disease:zebra", empty)


def test_what_the_cascade_can_say_is_asked_for_once_and_late() -> None:
    asked = []

    def sayable() -> dict[str, list[str]]:
        asked.append(1)
        return {"disease": ["Pneumothorax"]}

    vocabulary = Vocabulary({"disease": ["opacity"]}, sayable)
    assert vocabulary.find("disease", "Opacity") == "opacity"
    assert not asked
    assert vocabulary.find("disease", "pneumothorax") == "pneumothorax"
    assert vocabulary.find("disease", "zebra") is None
    assert asked == [1]


def test_narrowing_by_origin() -> None:
    human = Value("origin", "human")
    effusion, report = Value("disease", "effusion"), Term("clear", "report")
    inside = Value("disease", "effusion", "human")
    assert narrow(And((effusion, human, report))) == And((inside, human, report))
    assert narrow(And((Not(effusion), human))) == And((Not(inside), human))
    assert narrow(And((Or((effusion, A)), human))) == And(
        (Or((inside, Term("a", None, "human"))), human)
    )
    other = Value("origin", "predicted")
    for tree in (And((effusion, Or((human, other)))), And((effusion, human, other)), effusion):
        assert narrow(tree) == tree
    assert conjunction(MatchAll(), MatchAll()) == MatchAll()
    assert narrow(And((Finding(A), human))) == And((Finding(A, "human"), human))
    assert narrow(And((Finding(A, "report"), human))) == And((Finding(A, "report"), human))
    near, denied = Boost(Fuzzy("a"), 2.0), Value("absent", "effusion")
    inner = Boost(Fuzzy("a", origin="human"), 2.0)
    assert narrow(And((near, denied, human))) == And((inner, denied, human))
    assert required_origin(And((A, Boost(human, 2.0)))) == "human"
