from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from indexer.annotation import Annotation
from indexer.cascade.networks.annotator import Annotator
from indexer.datasets.mining import mine
from indexer.training.composite_labels import find_composites
from indexer.training.recipe import Recipe

_SIDES = {"left": -1.0, "right": 1.0}


def _annotations(number: int) -> tuple[Annotation, ...]:
    """An opacity on one side, a nodule beside every third, and normal images."""
    if number % 4 == 3:
        return (Annotation.from_words("human", "normal", []),)
    side = ("left", "right")[number % 2]
    opacity = Annotation.from_words("human", "opacity", ["lung", side])
    nodule = Annotation.from_words("human", "nodule", ["lung"])
    return (nodule, opacity) if number % 3 == 0 else (opacity,)


def _vectors(annotations: Sequence[Sequence[Annotation]]) -> np.ndarray:
    """The first number tells sides apart; the RNN below carries it into its states."""
    shown = [
        [_SIDES[w.text] for a in image for w in a.words if w.text in _SIDES]
        for image in annotations
    ]
    return np.array([[*(row or [0.0]), *[0.1] * 7] for row in shown], np.float32)


def _rnn(words: int) -> Annotator:
    torch.manual_seed(0)
    return Annotator(8, words, "gru", 16).eval()


def test_an_image_carries_the_composite_labels_of_all_its_findings() -> None:
    by_part = {
        "train": [_annotations(n) for n in range(240)],
        "val": [_annotations(n) for n in range(240, 280)],
    }
    labels = mine(by_part["train"], 5)
    vectors = {part: _vectors(rows) for part, rows in by_part.items()}
    found = find_composites(
        _rnn(len(labels.vocabulary)),
        labels,
        by_part,
        vectors,
        Recipe(images_per_label=60, deviations=0.0),
    )
    assert sorted(found.names) == ["opacity, left", "opacity, right"]
    for part, rows in by_part.items():
        goals = found.goals[part]
        assert goals.shape == (len(rows), 2)
        for image, row in zip(rows, goals, strict=True):
            sides = {w.text for a in image for w in a.words} & set(_SIDES)
            carried = {
                name.split(", ")[1] for name, goal in zip(found.names, row, strict=True) if goal
            }
            assert carried == sides, "its own side alone, also where a nodule stands before it"


def test_the_number_of_labels_of_a_large_finding_may_be_fixed() -> None:
    by_part = {
        "train": [_annotations(n) for n in range(240)],
        "val": [_annotations(n) for n in range(240, 280)],
    }
    labels = mine(by_part["train"], 5)
    rng = np.random.default_rng(0)
    vectors = {
        part: (_vectors(rows) + rng.normal(0, 0.1, (len(rows), 8))).astype(np.float32)
        for part, rows in by_part.items()
    }
    rnn = _rnn(len(labels.vocabulary))
    for clusters in (3, 5):
        found = find_composites(
            rnn, labels, by_part, vectors, Recipe(deviations=0.5, clusters=clusters)
        )
        assert [name.split(", ")[0] for name in found.names] == ["opacity"] * clusters


def test_labels_are_told_by_the_other_findings_of_their_images() -> None:
    opacity, nodule = (Annotation.from_words("human", word, []) for word in ("opacity", "nodule"))
    by_part: dict[str, list[tuple[Annotation, ...]]] = {
        "train": [(opacity,), (opacity, nodule)] * 30,
        "val": [(opacity,)],
    }
    shown = {part: np.array([len(row) for row in rows]) for part, rows in by_part.items()}
    vectors = {
        part: np.repeat(row[:, None] - 1.5, 8, 1).astype(np.float32) for part, row in shown.items()
    }
    labels = mine(by_part["train"], 5)
    found = find_composites(
        _rnn(len(labels.vocabulary)), labels, by_part, vectors, Recipe(deviations=0.0, clusters=2)
    )
    assert sorted(found.names) == ["opacity, alone", "opacity, with nodule"]


def test_without_a_large_finding_there_are_no_composite_labels() -> None:
    by_part = {
        "train": [_annotations(n) for n in range(40)],
        "val": [_annotations(n) for n in range(40, 50)],
    }
    labels = mine(by_part["train"], 5)
    vectors = {part: _vectors(rows) for part, rows in by_part.items()}
    found = find_composites(_rnn(len(labels.vocabulary)), labels, by_part, vectors, Recipe())
    assert found.names == ()
    assert {part: goals.shape for part, goals in found.goals.items()} == {
        "train": (40, 0),
        "val": (10, 0),
    }
