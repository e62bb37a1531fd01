"""The reading of a study: what its images say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from indexer.annotation import NORMAL, Annotation, Word

__all__ = ["pool_readings"]

# Readings are kept with four decimals, and no logit is infinite.
_MIN_PROBABILITY = 0.00005


def pool_readings(
    readings: Sequence[Mapping[str, Any]], thresholds: Mapping[str, float]
) -> dict[str, Any]:
    """Probabilities and annotations of a study, of the mean of its images' logits.

    A finding over its threshold is worded as in the image that is surest of it.

    Parameters
    ----------
    readings
        Of each image of the study, `Reading.to_json()` or what the ledger keeps of it.
    thresholds
        Per finding, the probability from which on it is reported.

    Returns
    -------
    dict
        ``probabilities`` and ``annotations``, in the form that `Reading.to_json` gives them.
    """
    names = list(readings[0]["probabilities"])
    kept = np.array([[reading["probabilities"][name] for name in names] for reading in readings])
    chances = kept.clip(_MIN_PROBABILITY, 1 - _MIN_PROBABILITY)
    logits = np.log(chances / (1 - chances)).mean(0)
    pooled = dict(zip(names, (1 / (1 + np.exp(-logits))).round(4).tolist(), strict=True))
    said: dict[str, Annotation] = {}
    for reading in readings:
        for annotation in map(Annotation.from_json, reading["annotations"]):
            before = said.get(annotation.disease)
            if before is None or annotation.confidence > before.confidence:
                said[annotation.disease] = annotation
    found = [n for n in names if n != NORMAL and pooled[n] >= thresholds[n] and n in said]
    found.sort(key=lambda name: -pooled[name])
    annotations = []
    for name in found or [NORMAL]:
        rest = said[name].words[1:] if name in said else ()
        # A bundle without the label `normal` gives it what remains.
        chance = pooled.get(name, 1 - max(pooled.values(), default=0.0))
        annotations.append(Annotation("predicted", (Word(name, "disease", chance), *rest)))
    return {"probabilities": pooled, "annotations": [a.to_json() for a in annotations]}
