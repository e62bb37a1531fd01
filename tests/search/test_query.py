from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.errors import QueryError
from search.backends.embedded import EmbeddedBackend
from search.query import MAX_DEPTH, MAX_LENGTH, MAX_TERMS, parse
from search.tree import (
    And,
    MatchAll,
    Node,
    Not,
    Or,
    Phrase,
    Prefix,
    Present,
    Range,
    Value,
    Word,
    conjunction,
    narrow,
)
from search.vocabulary import FIELDS, Vocabulary

VOCABULARY = Vocabulary(
    {"disease": ["pleural effusion", "opacity", "aorta, thoracic"], "organ": ["lung"]},
    lambda: {"disease": ["cardiomegaly", "normal"]},
)
A, B, C = Word("a"), Word("b"), Word("c")


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
        ("x-ray", Word("x-ray")),
        ("a and b", And((A, Word("and"), B))),
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
        ("report:a", Word("a", "report")),
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
        ("a~2", 1, "fuzzy words"),
        ('"a b"~2', 1, "distance"),
        ("a^2", 1, "boosts"),
        ("a^1.2.3", 2, "malformed"),
        ("/a.*/", 1, "regular expressions"),
        ("ef*sion", 3, r"a \* at the end"),
        ("b *ffusion", 3, r"a \* at the end"),
        ("effusio?", 8, r"a \* at the end"),
        ("e*", 1, "at least two letters"),
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
    effusion, report = Value("disease", "effusion"), Word("clear", "report")
    inside = Value("disease", "effusion", "human")
    assert narrow(And((effusion, human, report))) == And((inside, human, report))
    assert narrow(And((Not(effusion), human))) == And((Not(inside), human))
    assert narrow(And((Or((effusion, A)), human))) == And(
        (Or((inside, Word("a", None, "human"))), human)
    )
    other = Value("origin", "predicted")
    for tree in (And((effusion, Or((human, other)))), And((effusion, human, other)), effusion):
        assert narrow(tree) == tree
    assert conjunction(MatchAll(), MatchAll()) == MatchAll()


_WORDS = [
    "AND",
    "OR",
    "NOT",
    "TO",
    "age:",
    "age:>",
    "disease:",
    "1",
    "a",
    "opacity",
    "*:*",
    "[1 TO",
]
_WORDS += ["2]", "é", "😀", "²", "&&", '"a', 'b"', "*", "\\"]
_PIECES = st.sampled_from([*FIELDS, *"():\"*?~^-+/\\[]{}<>='!&|,. ", *_WORDS, "\ud800", "\0"])
_QUERIES = st.one_of(
    st.text(max_size=80),
    st.lists(_PIECES, max_size=25).map("".join),
    st.lists(_PIECES).map(" ".join),
)


@settings(max_examples=600, deadline=None)
@given(_QUERIES)
def test_nothing_but_query_errors(backend: EmbeddedBackend, text: str) -> None:
    refused = ""
    try:
        backend.search(parse(text, VOCABULARY), MatchAll())
    except QueryError as error:
        refused = str(error)
    assert refused.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        *("a " * 4999, "a OR " * 1999 + "a", "(" * 9999, "-" * 9999 + "a", '"' * 9999),
        *("a~" * 4999, "\\" * 9999, "[" * 9999, "a:" * 4999, "*" * 9999, "a" * 9999 + "*"),
        *("(a) " * 2499, "disease:" + "x" * 9000, "disease:x " * 900, "report:" + "a" * 9000),
    ],
)
def test_hostile_queries_end_within_a_second(backend: EmbeddedBackend, text: str) -> None:
    start = time.perf_counter()
    with contextlib.suppress(QueryError):
        backend.search(parse(text, VOCABULARY), MatchAll())
    assert time.perf_counter() - start < 1
