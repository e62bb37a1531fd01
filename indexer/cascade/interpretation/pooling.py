"""The reading of a study: what its images say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from indexer.annotation import NORMAL, Annotation, Word
from indexer.cascade.interpretation.certainty import certainty, is_unusual, reported

__all__ = ["pool_readings"]

# Probabilities are stored with four decimals; 0 and 1 would have infinite logits.
_MIN_PROBABILITY = 0.00005


def pool_readings(
    readings: Sequence[Mapping[str, Any]],
    thresholds: Mapping[str, float],
    likely: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Probabilities and annotations of a study, of the mean of its images' logits.

    A finding over its threshold is worded as in the image that is surest of it. Unusual pictures do
    not count; of a study that has no other there are no annotations.

    Parameters
    ----------
    readings
        Of each image of the study, `Reading.to_json()` or what the ledger keeps of it.
    thresholds
        Per finding, the probability from which on it is reported.
    likely
        See `indexer.cascade.bundle.Bundle`.

    Returns
    -------
    dict
        ``probabilities`` and ``annotations``, in the form that `Reading.to_json` gives them.
    """
    usual = [reading for reading in readings if not is_unusual(reading)]
    nothing, readings = not usual, usual or readings
    names = list(readings[0]["probabilities"])
    kept = np.array([[reading["probabilities"][name] for name in names] for reading in readings])
    chances = kept.clip(_MIN_PROBABILITY, 1 - _MIN_PROBABILITY)
    # Sorted, so that the sum is the same to the last bit whatever came first.
    logits = np.sort(np.log(chances / (1 - chances)), axis=0).mean(0)
    pooled = dict(zip(names, (1 / (1 + np.exp(-logits))).round(4).tolist(), strict=True))
    surest: dict[str, Annotation] = {}
    for reading in readings:
        for annotation in map(Annotation.from_json, reading["annotations"]):
            before = surest.get(annotation.disease)
            if before is None or _sureness(annotation) > _sureness(before):
                surest[annotation.disease] = annotation
    found = [n for n in names if n != NORMAL and pooled[n] >= thresholds[n] and n in surest]
    worded = [
        Annotation(
            "predicted",
            (Word(name, "disease", pooled[name]), *surest[name].words[1:]),
            certainty(name, pooled[name], likely),
        )
        for name in found
    ]
    normal = surest[NORMAL].words[1:] if NORMAL in surest else ()
    annotations = () if nothing else reported(worded, pooled, thresholds, likely, normal)
    return {"probabilities": pooled, "annotations": [a.to_json() for a in annotations]}


def _sureness(annotation: Annotation) -> tuple[float, list[tuple[str, str, float]]]:
    """Ordered by confidence, then by the words, so that the order of the images never matters."""
    return annotation.confidence, [(w.kind, w.text, w.confidence) for w in annotation.words]
