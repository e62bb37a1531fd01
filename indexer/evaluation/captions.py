"""Scores of search by words where each picture has a text of its own, as captions are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.evaluation.readings import Readings
from indexer.learning.bootstrap import draw_studies, middle, weighted_mean, weighted_median
from indexer.words import sentences

__all__ = ["evaluate_captions"]

_RANKS = (1, 10)


def evaluate_captions(readings: Readings) -> dict[str, Any]:
    """Each text is a query, its own picture the answer, all pictures the gallery.

    The texts are compared as `cxrdex search` compares them. Where two pictures are equally like,
    the own one counts as the farther.

    Returns
    -------
    dict
        ``text_to_image`` and its ``chance``, and 95 % ``intervals`` by study.
    """
    texts = [" ".join(example.sentences) for example in readings.examples]
    assert readings.fit is not None, "a bundle that knows sentences"
    ranks = own_ranks(readings.fit(sentences.encode(texts)))
    count = len(texts)
    weights = draw_studies(readings.studies)
    intervals = {
        f"text_to_image.r_at_{k}": middle(weighted_mean((ranks <= k).astype(np.float64), weights))
        for k in _RANKS
    }
    intervals["text_to_image.median_rank_share"] = middle(weighted_median(ranks, weights) / count)
    return {
        "text_to_image": {
            "queries": count,
            **{f"r_at_{k}": round(float(np.mean(ranks <= k)), 4) for k in _RANKS},
            "median_rank_share": round(float(np.median(ranks)) / count, 4),
        },
        "baselines": {
            "text_to_image": {
                "chance": {
                    "queries": count,
                    **{f"r_at_{k}": round(min(1.0, k / count), 4) for k in _RANKS},
                    "median_rank_share": round((count + 1) / 2 / count, 4),
                }
            }
        },
        "intervals": intervals,
    }


def own_ranks(likeness: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Per query (row), the rank from 1 of the picture (column) of the same number."""
    own = likeness.diagonal()[:, None]
    ranks: npt.NDArray[np.int64] = (likeness >= own).sum(1)
    return ranks
