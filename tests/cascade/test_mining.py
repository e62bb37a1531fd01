from __future__ import annotations

from indexer.annotation import Annotation, parse_mesh
from indexer.cascade.mining import END, encode_labels, encode_sequences, mine


def _image(*terms: str) -> list[Annotation]:
    return [annotation for term in terms if (annotation := parse_mesh(term))]


IMAGES = [
    _image("Opacity/lung/left", "Cardiomegaly/mild"),
    _image("Opacity/lung/left", "Opacity/lung/right"),
    _image("Opacity/lung/right", "Nodule"),
    _image("normal"),
    _image("normal"),
]


def test_labels_are_counted_by_image() -> None:
    labels = mine(IMAGES, 2)
    assert labels.findings == ("opacity", "normal")
    assert set(labels.pairs) == {("opacity", "lung"), ("opacity", "left"), ("opacity", "right")}
    assert labels.vocabulary == (END, "opacity", "normal", "lung", "left", "right")


def test_every_finding_of_an_image_is_a_target() -> None:
    labels = mine(IMAGES, 1)
    goals = encode_labels(IMAGES, labels)
    names = [*labels.findings, *labels.pairs]
    said = {name for name, value in zip(names, goals[0], strict=True) if value}
    assert said == {
        "opacity",
        "cardiomegaly",
        ("opacity", "lung"),
        ("opacity", "left"),
        ("cardiomegaly", "mild"),
    }


def test_sequences_end_with_their_own_record() -> None:
    labels = mine(IMAGES, 1)
    owners, tokens = encode_sequences(IMAGES, labels, 5)
    words = [[labels.vocabulary[t] for t in row if t >= 0] for row in tokens]
    assert owners.tolist() == [0, 0, 1, 1, 2, 2, 3, 4]
    assert words[0] == ["opacity", "lung", "left", END]
    assert words[5] == ["nodule", END]
    assert tokens.shape == (8, 6)
    assert (tokens[5, 2:] == -1).all()


def test_long_annotations_still_end() -> None:
    labels = mine(IMAGES, 1)
    _, tokens = encode_sequences(IMAGES, labels, 2)
    assert [labels.vocabulary[t] for t in tokens[0]] == ["opacity", "lung", END]
