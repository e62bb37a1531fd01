from __future__ import annotations

import json
from pathlib import Path

from indexer.annotation import Annotation, parse_mesh
from indexer.cascade.labels import END
from indexer.datasets.annotated import AnnotatedImage, Collection
from indexer.datasets.example import Example
from indexer.datasets.mining import PAPER_CLASSES, encode_sequences, mine
from indexer.datasets.survey import Candidate, survey
from indexer.datasets.targets import encode_targets


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
    examples = [Example("", Path(), "", None, tuple(image)) for image in IMAGES]
    goals, known = encode_targets(examples, labels)
    assert known.all()
    names = [*labels.findings, *labels.pairs]
    named = {name for name, value in zip(names, goals[0], strict=True) if value}
    assert named == {
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


def _images(*images: tuple[str, list[Annotation]]) -> list[AnnotatedImage]:
    return [
        AnnotatedImage(str(number), study, tuple(annotations))
        for number, (study, annotations) in enumerate(images)
    ]


COLLECTION = _images(
    ("a", _image("Opacity/lung/left", "Cardiomegaly/mild")),
    ("a", _image("Opacity/lung/left", "Cardiomegaly/mild")),
    ("b", _image("Opacity/lung/right")),
    ("c", _image("normal")),
    ("d", _image("Emphysema/mild", "Emphysema/severe")),
    ("e", _image("No Indexing")),
    ("f", _image("Nodule/lefft")),
)


def test_totals_of_a_survey() -> None:
    totals = survey(COLLECTION, 1).totals
    assert (totals.images, totals.studies, totals.unannotated, totals.normal) == (7, 6, 1, 1)
    assert (totals.terms, totals.qualifiers, totals.patterns) == (5, 6, 5)
    assert totals.terms_per_image == {1: 3, 2: 2}
    assert totals.words_per_annotation == {1: 1, 2: 5, 3: 3}


def test_a_survey_keeps_what_training_would() -> None:
    report = survey(COLLECTION, 2)
    assert report.labels == mine([i.annotations for i in COLLECTION if i.annotations], 2)
    assert tuple(e.name for e in report.findings if e.kept) == report.labels.findings
    assert {e.name for e in report.pairs if e.kept} == set(report.labels.pairs)
    kept = {e.name for e in report.words if e.kept}
    assert kept == set(report.labels.vocabulary) - {END, *report.labels.findings}


def test_a_survey_counts_images_studies_and_overlap() -> None:
    report = survey(COLLECTION, 2)
    assert report.findings[0] == Candidate("opacity", 3, 2, 2, True)
    assert report.classes[0] == Candidate(("cardiomegaly", "opacity"), 2, 1, 2, True)
    assert report.overlaps == (("cardiomegaly", "opacity", 2),)
    reasons = {e.name: e.reason for e in report.findings}
    assert reasons["nodule"] == "fewer than 2 images"


def test_a_misspelt_word_is_pointed_out() -> None:
    words = {e.name: e for e in survey(COLLECTION, 1).words}
    assert words["lefft"].kept
    assert words["lefft"].reason == "unknown word"
    assert words["left"].reason == ""
    lost = {e.name: e for e in survey(COLLECTION, 2).words}["lefft"]
    assert (lost.kept, lost.reason) == (False, "fewer than 2 images; unknown word")


def test_the_papers_classes() -> None:
    report = survey(COLLECTION, None)
    assert report.protocol == "paper"
    assert report.labels.findings == PAPER_CLASSES
    assert len(set(PAPER_CLASSES)) == 17
    classes = {e.name: e for e in report.classes}
    assert classes[("opacity",)].kept
    assert "several findings" in classes[("cardiomegaly", "opacity")].reason
    assert "17 classes" in classes[("emphysema",)].reason
    # Only the image with a single finding teaches words.
    assert report.labels.pairs == (("opacity", "lung"), ("opacity", "right"), ("nodule", "lefft"))
    words = {e.name: e.reason for e in report.words}
    assert words["mild"] == "only in images that the paper leaves out"


def test_a_survey_of_nothing() -> None:
    for least in (None, 20):
        report = survey([], least)
        assert report.totals.images == 0
        assert not any((report.classes, report.findings, report.pairs, report.words))


def test_a_survey_is_json() -> None:
    data = json.loads(
        json.dumps(survey(COLLECTION, 2).to_json(Collection("mesh", tuple(COLLECTION))))
    )
    assert data["findings"][0]["name"] == "opacity"
    assert data["labels"]["findings"][0] == "opacity"
