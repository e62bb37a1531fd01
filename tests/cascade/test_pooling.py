from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from indexer.annotation import Annotation, Word
from indexer.cascade.interpretation.pooling import pool_readings

THRESHOLDS = {"normal": 0.5, "opacity": 0.4, "nodule": 0.4}


def _reading(normal: float, opacity: float, nodule: float, *texts: str) -> dict[str, Any]:
    """A reading that says `said`: a finding and its qualifier, each with the finding's chance."""
    chances = {"normal": normal, "opacity": opacity, "nodule": nodule}
    annotations = [
        Annotation(
            "predicted", (Word(disease, "disease", chances[disease]), Word(word, "side", 0.5))
        )
        for disease, word in (text.split() for text in texts)
    ] or [Annotation("predicted", (Word("normal", "disease", normal),))]
    return {"probabilities": chances, "annotations": [a.to_json() for a in annotations]}


def test_a_finding_is_the_mean_of_logits_worded_by_who_is_surest() -> None:
    frontal = _reading(0.1, 0.9, 0.45, "opacity left", "nodule right")
    lateral = _reading(0.1, 0.5, 0.1, "opacity right")
    pooled = pool_readings([lateral, frontal], THRESHOLDS)
    assert pooled["probabilities"] == {
        "normal": 0.1,
        "opacity": 0.75,
        "nodule": pytest.approx(0.2317, abs=1e-4),
    }
    (opacity,) = map(Annotation.from_json, pooled["annotations"])
    assert (opacity.text, opacity.confidence) == ("opacity, left", 0.75)
    assert pooled == pool_readings([frontal, lateral], THRESHOLDS)


def test_where_nothing_is_left_the_study_is_normal() -> None:
    one = _reading(0.2, 0.1, 0.45, "nodule left")
    other = _reading(0.8, 0.1, 0.05)
    pooled = pool_readings([one, other], THRESHOLDS)
    (normal,) = map(Annotation.from_json, pooled["annotations"])
    assert (normal.text, normal.confidence) == ("normal", 0.5)


def test_findings_stand_likeliest_first() -> None:
    images = [_reading(0.1, 0.5, 0.8, "opacity left", "nodule left")] * 3
    texts = pool_readings(images, THRESHOLDS)["annotations"]
    assert [a["disease"] for a in texts] == ["nodule", "opacity"]


def test_a_certain_image_is_outvoted_but_not_ignored() -> None:
    pooled = pool_readings([_reading(0.0, 1.0, 0.0, "opacity left"), _reading(1, 0, 0)], THRESHOLDS)
    assert pooled["probabilities"]["opacity"] == 0.5
    assert [a["text"] for a in pooled["annotations"]] == ["opacity, left"]


def test_a_bundle_without_normal_gives_it_what_remains() -> None:
    bare = {"probabilities": {"opacity": 0.1}, "annotations": []}
    pooled = pool_readings([bare, bare], {"opacity": 0.4})
    assert pooled["annotations"][0]["confidence"] == 0.9


def test_at_a_tie_the_words_do_not_depend_on_what_was_read_first() -> None:
    images = [_reading(0.1, 0.8, 0.1, f"opacity {side}") for side in ("left", "right", "left")]
    pooled = [pool_readings(order, THRESHOLDS) for order in permutations(images)]
    assert all(one == pooled[0] for one in pooled)
