"""Reciprocal rank fusion: several rankings of images made one, each hit with its reasons.

G. V. Cormack, C. L. A. Clarke, S. Buettcher: Reciprocal Rank Fusion outperforms Condorcet and
individual Rank Learning Methods. SIGIR 2009. An image's score is the sum of 1 / (k + rank) over the
rankings that have it, so that BM25 and cosines, which cannot be compared, need not be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum

__all__ = ["Fused", "K", "fuse"]

#: The constant k of reciprocal rank fusion (Cormack et al., 2009).
K = 60


@dataclass(frozen=True, slots=True)
class Fused:
    """One image in the fused ranking.

    Parameters
    ----------
    id
        Image id.
    score
        Sum of 1 / (k + rank).
    ranks
        Its rank, from 1, in each ranking that has it, by name.
    """

    id: str
    score: float
    ranks: Mapping[str, int]


def fuse(rankings: Mapping[str, Sequence[tuple[str, float]]], k: int = K) -> list[Fused]:
    """One ranking of all images of several, best first.

    Images of equal score share the best rank among them: how a ranking breaks its ties says
    nothing. Equal sums stand in order of id. The names of the rankings and their order have no
    influence.

    Parameters
    ----------
    rankings
        By name: ids, each once, with their scores, best first.
    k
        The greater, the less the first ranks stand out.
    """
    ranks: dict[str, dict[str, int]] = {}
    for name, ranking in rankings.items():
        rank, last = 0, None
        for position, (image, score) in enumerate(ranking, 1):
            if score != last:
                rank, last = position, score
            ranks.setdefault(image, {})[name] = rank
    # fsum is exact, so that the order of the rankings cannot show in the last digit.
    found = [Fused(i, fsum(1 / (k + r) for r in own.values()), own) for i, own in ranks.items()]
    return sorted(found, key=lambda fused: (-fused.score, fused.id))
