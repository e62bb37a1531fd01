from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.language.tree import Fuzzy, Prefix, Wildcard
from search.language.wildcards import TermIndex, compile_shape, distance, folded, matcher

_TERM = st.text("abc", min_size=1, max_size=7)
_PATTERN = st.text("abc*?", min_size=1, max_size=7).filter(lambda p: set(p) & set("abc"))


@given(_PATTERN, st.lists(_TERM, unique=True))
def test_patterns_match_as_shells_do(pattern: str, terms: list[str]) -> None:
    expected = [term for term in terms if fnmatchcase(term, pattern)]
    assert list(TermIndex(terms).of_shape(pattern)) == expected
    assert [term for term in terms if compile_shape(pattern).fullmatch(term)] == expected


def test_what_a_regular_expression_would_read_otherwise() -> None:
    terms = ["a.c", "abc", "a+", "(a", "tube, inserted", "a\nb"]
    assert list(TermIndex(terms).of_shape("a.*")) == ["a.c"]
    assert list(TermIndex(terms).of_shape("*a+*")) == ["a+"]
    assert list(TermIndex(terms).of_shape("(*")) == ["(a"]
    assert list(TermIndex(terms).of_shape("tube,*d")) == ["tube, inserted"]
    assert list(TermIndex(terms).of_shape("a*b")) == []


def _plainly(one: str, other: str) -> int:
    """Letters to change, by the book."""
    if not one or not other:
        return len(one) + len(other)
    steps = [
        _plainly(one[1:], other) + 1,
        _plainly(one, other[1:]) + 1,
        _plainly(one[1:], other[1:]) + (one[0] != other[0]),
    ]
    if one[:2] == other[1::-1] and len(one) > 1 < len(other):
        steps.append(_plainly(one[2:], other[2:]) + 1)
    return min(steps)


@given(st.text("abc", max_size=5), st.text("abc", max_size=5), st.integers(1, 2))
def test_distances(one: str, other: str, most: int) -> None:
    expected = _plainly(one, other)
    assert distance(one, other, most) == (expected if expected <= most else None)


@pytest.mark.parametrize(
    ("node", "fits", "misses"),
    [
        (Prefix("eff"), "effusion", "pleff"),
        (Wildcard("É*on"), "effusion", "effusions"),
        (Fuzzy("Éfusion", None, 1), "effusion", "effusions"),
    ],
)
def test_matchers_fold_their_letters(
    node: Prefix | Wildcard | Fuzzy, fits: str, misses: str
) -> None:
    def fold(text: str) -> str:
        return text.lower().replace("é", "e")

    matches = matcher(node, fold)
    assert matches(fits)
    assert not matches(misses)
    assert folded("É*?É", fold) == "e*?e"
