from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.hybrid.fusion import K, fuse

Ranking = list[tuple[str, float]]

_ids = st.text("abcdef", min_size=1, max_size=2)
_scores = st.integers(0, 5).map(float)


def _best_first(scores: dict[str, float]) -> Ranking:
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


_ranking = st.dictionaries(_ids, _scores, max_size=12).map(_best_first)
_rankings = st.dictionaries(st.sampled_from("wxyz"), _ranking, max_size=4)


@given(_ranking)
def test_one_ranking_alone_keeps_its_order(ranking: Ranking) -> None:
    assert [fused.id for fused in fuse({"only": ranking})] == [image for image, _ in ranking]


@given(_rankings, st.randoms(use_true_random=False))
def test_names_and_their_order_have_no_influence(
    rankings: dict[str, Ranking], chance: random.Random
) -> None:
    shuffled = list(rankings.values())
    chance.shuffle(shuffled)
    renamed = {f"other {number}": ranking for number, ranking in enumerate(shuffled)}
    assert [(f.id, f.score) for f in fuse(renamed)] == [(f.id, f.score) for f in fuse(rankings)]


@given(_rankings)
def test_a_better_image_in_every_ranking_is_better_in_all(rankings: dict[str, Ranking]) -> None:
    fused = {one.id: one for one in fuse(rankings)}
    assert fused.keys() == {image for ranking in rankings.values() for image, _ in ranking}
    scores = {name: dict(ranking) for name, ranking in rankings.items()}
    for one in fused:
        for other in fused:
            pairs = [(own.get(one, -1.0), own.get(other, -1.0)) for own in scores.values()]
            if all(a >= b for a, b in pairs):
                assert fused[one].score >= fused[other].score
                if any(a > b for a, b in pairs):
                    assert fused[one].score > fused[other].score


@given(_rankings)
def test_order_and_reasons(rankings: dict[str, Ranking]) -> None:
    found = fuse(rankings)
    assert [(-one.score, one.id) for one in found] == sorted((-one.score, one.id) for one in found)
    for one in found:
        assert one.score == pytest.approx(sum(1 / (K + rank) for rank in one.ranks.values()))
        for name, rank in one.ranks.items():
            own = dict(rankings[name])
            assert rank == 1 + sum(score > own[one.id] for score in own.values())


def test_equal_scores_share_their_rank() -> None:
    found = fuse({"words": [("a", 1.0), ("b", 1.0), ("c", 0.5)], "image": [("b", 0.9)]})
    assert [(one.id, dict(one.ranks)) for one in found] == [
        ("b", {"words": 1, "image": 1}),
        ("a", {"words": 1}),
        ("c", {"words": 3}),
    ]
