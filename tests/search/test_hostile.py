"""Whatever is typed ends in an answer or a `QueryError`, soon."""

from __future__ import annotations

import contextlib
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.errors import QueryError
from search.language.fields import FIELDS, Vocabulary
from search.language.query import MAX_LENGTH, parse
from search.paging import Cursor, Sort
from search.stores.backend import TextQuery
from search.stores.tantivy.backend import EmbeddedBackend

VOCABULARY = Vocabulary({"disease": ["pleural effusion", "opacity", "tube, inserted"]})
STRINGS = 10_000
# Of this process alone; a query that needs more would need it for ever on a longer text.
SECONDS = 10
_WORDS = (
    *("AND", "OR", "NOT", "TO", "age:", "age:>", "1", "a", "opacity", "left", "*:*", "[1 TO", "2]"),
    *("é", "😀", "²", "&&", '"a', 'b"', "*", "\\", "finding:(", "effusion~", "op*ty", "^2", "~1"),
    *("disease:opacity", "*a*e*", "??", "absent:", "origin:human", "\u202e", "\ufdfa", "İ", "ß"),
)
_MARKS = "\"():*?~^-+/\\[]{}<>='!&|,. "
_PIECES = st.sampled_from([*FIELDS, *_MARKS, *_WORDS, "\ud800", "\0"])
_QUERIES = st.one_of(
    st.text(max_size=80),
    st.lists(_PIECES, max_size=25).map("".join),
    st.lists(_PIECES).map(" ".join),
)
_GOOD = (
    "finding:(effusion AND left) -normal",
    '"pleural effusion" OR (opacity^2 AND age:[40 TO 60])',
    'disease:("tube, inserted" OR opacity) view:frontal',
    "*eff*on~ report:cardiom* NOT absent:opacity",
    "side:(left OR right) AND origin:human AND year:>2010",
)


def _ask(backend: EmbeddedBackend, text: str) -> str:
    """What a query is refused with, if it is."""
    try:
        backend.search(TextQuery(parse(text, VOCABULARY), facets=["side"], limit=3))
    except QueryError as error:
        return str(error)
    return ""


@settings(max_examples=300, deadline=None)
@given(_QUERIES)
def test_nothing_but_query_errors(backend: EmbeddedBackend, text: str) -> None:
    refused = _ask(backend, text)
    assert not refused or refused.isprintable()


def _string(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.3:
        return "".join(
            chr(rng.choice((rng.randrange(32, 127), rng.randrange(0x11000))))
            for _ in "x" * rng.randrange(60)
        )
    if kind < 0.6:
        pieces = [rng.choice((*_WORDS, *_MARKS, *FIELDS)) for _ in range(rng.randrange(1, 25))]
        return rng.choice(("", " ")).join(pieces)
    text = list(rng.choice(_GOOD))
    for _ in range(rng.randrange(1, 6)):
        place = rng.randrange(len(text) + 1)
        change = rng.random()
        if change < 0.4:
            text.insert(place, rng.choice((*_MARKS, *_WORDS)))
        elif change < 0.7:
            del text[place : place + rng.randrange(1, 5)]
        else:
            text[place:place] = text[rng.randrange(len(text) + 1) :][:12]
    return "".join(text)


def test_random_and_mutated_strings(backend: EmbeddedBackend) -> None:
    rng = random.Random(0)
    answered = 0
    for _ in range(STRINGS):
        text = _string(rng)
        start = time.process_time()
        refused = _ask(backend, text)
        assert time.process_time() - start < SECONDS, text
        assert not refused or refused.isprintable(), text
        answered += not refused
    assert STRINGS / 10 < answered < STRINGS


@pytest.mark.parametrize(
    "text",
    [
        *("a " * 4999, "a OR " * 1999 + "a", "(" * 9999, "-" * 9999 + "a", '"' * 9999, "((((" * 9),
        *("a~" * 4999, "\\" * 9999, "[" * 9999, "a:" * 4999, "*" * 9999, "a" * 9999 + "*"),
        *("(a) " * 2499, "disease:" + "x" * 9000, "disease:x " * 900, "report:" + "a" * 9000),
        *("*a" * 4999, "a" + "*a" * 5, "?" * 9998 + "ab", "*ab* " * 1999, "*a*b*c*d* " * 20),
        *(
            "ab" + "?" * 9000 + "*",
            "finding:(" * 1000,
            "finding:(" + "a " * 490 + ")",
            "abcd~ " * 20,
        ),
        *("a^9" * 3000, "(" * 39 + "a" + ")^9" * 39, "abcdefgh~2 " * 20, "e" * 9998 + "~2"),
        *("finding:(" + "*a*b*c* " * 20 + ")", "finding:(" + "abcdefgh~ " * 20 + ")", "{" * 9999),
        *(
            "/(a+)+$/",
            "/" + "(a*)*" * 1000 + "/",
            "*(a+)+$*",
            "é" * 9999,
            "\u0301" * 9999,
            "😀 " * 3000,
        ),
        *("age:[" + "9" * 5000 + " TO 1]", "age:" + "9" * 9, "id:" + "*" * 5000, "x" * 10**7),
    ],
)
def test_monsters_end_soon(backend: EmbeddedBackend, text: str) -> None:
    start = time.process_time()
    refused = _ask(backend, text)
    assert time.process_time() - start < SECONDS
    assert len(refused) < 500
    assert len(text) <= MAX_LENGTH or refused


@given(st.text(max_size=60))
def test_tokens_and_sorts_are_refused_alike(text: str) -> None:
    good = Cursor(1.5, "00ff", 7).token("search")
    for token in (text, good[:20] + text + good[20:] if text.strip() else text):
        with pytest.raises(QueryError):
            Cursor.read(token, "search")
    with pytest.raises(QueryError):
        Cursor.read(good, "another search")
    assert Cursor.read(f" {good}\n", "search") == Cursor(1.5, "00ff", 7)
    with contextlib.suppress(QueryError):
        assert Sort.parse(text).by in ("score", "age", "year", "id")
