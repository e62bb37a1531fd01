"""Words by their shape or spelling: wildcards, and how many letters two words differ in."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator

from search.language.tree import Fuzzy, Prefix, Wildcard

__all__ = ["TermIndex", "compile_shape", "distance", "folded", "matcher"]

_LINE = "\n"


@functools.lru_cache(maxsize=256)
def compile_shape(pattern: str) -> re.Pattern[str]:
    """A wildcard pattern as a regular expression for `fullmatch`, which never backtracks far.

    Parameters
    ----------
    pattern
        ``*`` stands for any characters, ``?`` for one.
    """
    first, *rest = (
        "".join("." if c == "?" else re.escape(c) for c in piece) for piece in pattern.split("*")
    )
    if not rest:
        return re.compile(first, re.DOTALL)
    *middle, last = rest
    # Each piece takes its first place for good; only the last one must stand at the end.
    taken = "".join(f"(?>.*?{piece})" for piece in middle if piece)
    return re.compile(f"{first}{taken}.*{last}", re.DOTALL)


def distance(one: str, other: str, most: int) -> int | None:
    """Letters that must be added, left out, changed or swapped; None where more than `most`."""
    if abs(len(one) - len(other)) > most:
        return None
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, b in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return None
    return row[-1] if row[-1] <= most else None


def matcher(node: Prefix | Wildcard | Fuzzy, fold: Callable[[str], str]) -> Callable[[str], bool]:
    """Whether a term is of the node's shape.

    Parameters
    ----------
    fold
        What the terms have gone through, for the literal letters.
    """
    match node:
        case Prefix(text):
            beginning = fold(text)
            return lambda term: term.startswith(beginning)
        case Wildcard(pattern):
            fits = compile_shape(folded(pattern, fold)).fullmatch
            return lambda term: fits(term) is not None
        case Fuzzy(text, _, most):
            word = fold(text)
            return lambda term: distance(word, term, most) is not None


def folded(pattern: str, fold: Callable[[str], str]) -> str:
    """A wildcard pattern, its literal letters folded."""
    return "".join(
        piece if piece in ("*", "?") else fold(piece) for piece in re.split(r"([*?])", pattern)
    )


class TermIndex:
    """Many terms, to be searched by shape.

    Parameters
    ----------
    terms
        In any order; one with a line break in it is never found.
    """

    def __init__(self, terms: Iterable[str]) -> None:
        kept = [term for term in terms if _LINE not in term]
        self.count = len(kept)
        self._text = f"{_LINE}{_LINE.join(kept)}{_LINE}"

    def of_shape(self, pattern: str) -> Iterator[str]:
        """The terms that a wildcard pattern matches."""
        fits = compile_shape(pattern).fullmatch
        literal = max(re.split(r"[*?]", pattern), key=len)
        text, end = self._text, 0
        # The longest literal piece is looked for first, as that goes fast.
        while (found := text.find(literal, end)) >= 0:
            start, end = text.rfind(_LINE, 0, found + 1) + 1, text.find(_LINE, found)
            if end < 0:
                return
            if start <= end and fits(term := text[start:end]):
                yield term
            end = max(end, found + 1)
