"""What is likely, what is only possible, when a film counts as normal, and what is no film."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from indexer.annotation import EVEN, NORMAL, Annotation, Certainty, Word

__all__ = ["UNUSUAL", "certainty", "is_unusual", "reported"]

#: A picture whose reading has a higher `unusual` is called no chest film.
UNUSUAL = 0.5


def is_unusual(reading: Mapping[str, Any]) -> bool:
    """Whether a reading, as `Reading.to_json` made it, or a document is of an unusual picture."""
    return bool(reading.get("unusual", 0.0) > UNUSUAL)


def certainty(finding: str, chance: float, likely: Mapping[str, float] | None) -> Certainty:
    """How sure a finding is.

    Parameters
    ----------
    likely
        `indexer.cascade.bundle.Bundle.likely`.
    """
    limit = EVEN if likely is None else likely.get(finding, math.inf)
    return "likely" if chance >= limit else "possible"


def reported(
    found: Iterable[Annotation],
    chances: Mapping[str, float],
    thresholds: Mapping[str, float],
    likely: Mapping[str, float] | None,
    normal: Iterable[Word] = (),
) -> tuple[Annotation, ...]:
    """What is said of a film: likely findings first, each group by falling probability.

    ``normal`` is among them where no finding is likely and it is over its own threshold, or where
    nothing else is found.

    Parameters
    ----------
    found
        Findings over their thresholds.
    chances, thresholds
        Probability and threshold by finding.
    normal
        Words that go with ``normal``.
    """
    annotations = list(found)
    # Without the label `normal`, its probability is what the likeliest finding leaves.
    chance = float(chances.get(NORMAL, 1 - max(chances.values(), default=0.0)))
    unsure = all(annotation.certainty == "possible" for annotation in annotations)
    if not annotations or (unsure and chance >= thresholds.get(NORMAL, math.inf)):
        words = (Word(NORMAL, "disease", chance), *normal)
        annotations.append(Annotation("predicted", words, certainty(NORMAL, chance, likely)))
    return tuple(sorted(annotations, key=lambda a: (a.certainty == "possible", -a.confidence)))
