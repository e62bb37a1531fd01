from __future__ import annotations

from indexer.annotation import Annotation, Word
from indexer.cascade.interpretation.certainty import certainty, is_unusual, reported
from indexer.cascade.interpretation.pooling import pool_readings

THRESHOLDS = {"normal": 0.3, "opacity": 0.1, "mass": 0.1}


def _found(**chances: float) -> list[Annotation]:
    return [
        Annotation("predicted", (Word(name, "disease", chance),), certainty(name, chance, None))
        for name, chance in chances.items()
    ]


def _texts(annotations: tuple[Annotation, ...]) -> list[tuple[str, str]]:
    return [(annotation.disease, annotation.certainty) for annotation in annotations]


def test_likely_findings_come_first_and_need_their_own_threshold() -> None:
    assert certainty("mass", 0.5, None) == "likely"
    assert certainty("mass", 0.99, {"opacity": 0.2}) == "possible", "it has no such threshold"
    assert certainty("opacity", 0.2, {"opacity": 0.2}) == "likely"
    chances = {"normal": 0.1, "opacity": 0.6, "mass": 0.2}
    reading = reported(_found(mass=0.2, opacity=0.6), chances, THRESHOLDS, None)
    assert _texts(reading) == [("opacity", "likely"), ("mass", "possible")]


def test_normal_stands_where_nothing_is_likely() -> None:
    chances = {"normal": 0.7, "opacity": 0.2, "mass": 0.01}
    reading = reported(_found(opacity=0.2), chances, THRESHOLDS, None)
    assert _texts(reading) == [("normal", "likely"), ("opacity", "possible")]
    doubtful = chances | {"normal": 0.2}
    assert _texts(reported(_found(opacity=0.2), doubtful, THRESHOLDS, None)) == [
        ("opacity", "possible")
    ]
    assert _texts(reported([], doubtful, THRESHOLDS, None)) == [("normal", "possible")]


def _reading(opacity: float, unusual: float = 0.0) -> dict[str, object]:
    chances = {"normal": 0.1, "opacity": opacity, "mass": 0.01}
    reading = reported(_found(opacity=opacity), chances, THRESHOLDS, None)
    return {
        "probabilities": chances,
        "annotations": [] if unusual > 0.5 else [a.to_json() for a in reading],
        "unusual": unusual,
    }


def test_unusual_pictures_say_nothing_of_their_study() -> None:
    film, hip = _reading(0.8), _reading(0.1, unusual=0.9)
    assert is_unusual(hip)
    assert not is_unusual({"annotations": []}), "of a reading of an earlier version"
    assert pool_readings([film, hip], THRESHOLDS)["probabilities"]["opacity"] == 0.8
    assert pool_readings([hip, hip], THRESHOLDS)["annotations"] == []
    pooled = pool_readings([film, _reading(0.3)], THRESHOLDS, {"opacity": 0.9})
    assert pooled["annotations"][0]["certainty"] == "possible"
