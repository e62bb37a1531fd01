from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest

from indexer.cascade.beam_search import END, BeamState, FloatArray, IntArray, beam_search

WORDS, LENGTH = 5, 3
LOGITS = np.random.default_rng(0).normal(scale=2, size=(WORDS, WORDS)).astype(np.float32)


def step(words: IntArray, state: BeamState) -> tuple[FloatArray, BeamState]:
    """The next word depends on the last one alone."""
    return LOGITS[words], state


def start(lines: int, beam: int) -> BeamState:
    return (np.zeros((lines, beam, 1), np.float32),)


def chances(line: tuple[int, ...]) -> list[float]:
    """Of each word after the first, no word standing twice."""
    found = []
    for at, (before, word) in enumerate(pairwise(line)):
        used = [w for w in line[: at + 1] if w != END]
        logits = LOGITS[before].astype(np.float64)
        logits[used] = -np.inf
        found.append(float(np.exp(logits[word]) / np.exp(logits).sum()))
    return found


def likeliest(first: int) -> tuple[int, ...]:
    """By trying all lines."""
    others = [w for w in range(1, WORDS) if w != first]
    ended = [(first, *p, END) for n in range(LENGTH) for p in permutations(others, n)]
    full = [(first, *p) for p in permutations(others, LENGTH)]
    return max(ended + full, key=lambda line: np.prod(chances(line)))


def test_a_wide_beam_finds_the_likeliest_of_all_lines() -> None:
    first = np.arange(1, WORDS)
    for word, line in zip(
        first.tolist(), beam_search(step, start(4, 100), first, 100, LENGTH), strict=True
    ):
        best = likeliest(word)
        assert (word, *[w for w, _ in line]) == tuple(w for w in best if w != END)
        assert [p for _, p in line] == pytest.approx(chances(best)[: len(line)], rel=1e-5)


def test_a_beam_of_one_takes_the_likeliest_word_each_time() -> None:
    (line,) = beam_search(step, start(1, 1), np.array([2]), 1, LENGTH)
    expected: list[int] = []
    while len(expected) < LENGTH:
        logits = LOGITS[expected[-1] if expected else 2].copy()
        logits[[2, *expected]] = -np.inf
        word = int(logits.argmax())
        if word == END:
            break
        expected.append(word)
    assert [w for w, _ in line] == expected


def test_the_state_follows_the_line_it_belongs_to() -> None:
    """Each word adds itself to the state: what is left must fit the words that were written."""
    seen: list[tuple[IntArray, BeamState]] = []

    def adding(words: IntArray, state: BeamState) -> tuple[FloatArray, BeamState]:
        after = (state[0] * 10 + words[:, :, None].astype(np.float32),)
        seen.append((words, after))
        return LOGITS[words], after

    beam_search(adding, start(2, 3), np.array([1, 2]), 3, LENGTH)
    for (_, before), (words, after) in pairwise(seen):
        np.testing.assert_array_equal(after[0][:, :, 0] % 10, words)
        for line in range(2):
            known = set(before[0][line, :, 0].tolist())
            assert set((after[0][line, :, 0] // 10).tolist()) <= known


def test_no_line_is_no_work() -> None:
    assert beam_search(step, start(0, 3), np.empty(0, np.intp)) == []
