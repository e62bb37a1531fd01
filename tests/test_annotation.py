from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.annotation import KINDS, Annotation, Word, parse_mesh


@pytest.mark.parametrize(
    ("term", "disease", "rest"),
    [
        ("Calcified Granuloma/lung/apex/right", "calcified granuloma", "lung,apex,right"),
        ("Lung/hypoinflation/mild", "lung hypoinflation", "mild"),
        ("Thoracic Vertebrae/degenerative", "thoracic vertebrae degenerative", ""),
        ("Diaphragm/right/elevated", "diaphragm right", "elevated"),
        ("Fractures, Bone ", "fractures, bone", ""),
        ("Catheters,  Indwelling/right", "catheters, indwelling", "right"),
        ("Spine", "spine", ""),
        ("normal", "normal", ""),
    ],
)
def test_mesh_follows_the_papers_term_rule(term: str, disease: str, rest: str) -> None:
    annotation = parse_mesh(term)
    assert annotation is not None
    assert annotation.disease == disease
    assert ",".join(word.text for word in annotation.words[1:]) == rest
    assert annotation.origin == "human"


@pytest.mark.parametrize("term", ["", " / ", "No Indexing", "no indexing "])
def test_strings_that_label_nothing(term: str) -> None:
    assert parse_mesh(term) is None


def test_kinds_of_qualifiers() -> None:
    annotation = parse_mesh("Opacity/lung/base/left/mild/streaky")
    assert annotation is not None
    assert annotation.of_kind("organ") == ("lung",)
    assert annotation.of_kind("location") == ("base",)
    assert annotation.of_kind("side") == ("left",)
    assert annotation.of_kind("severity") == ("mild",)
    assert annotation.of_kind("other") == ("streaky",)
    assert annotation.text == "opacity, lung, base, left, mild, streaky"


@given(
    st.lists(
        st.builds(
            Word,
            st.text(min_size=1),
            st.sampled_from(KINDS),
            st.integers(0, 10_000).map(lambda n: n / 10_000),
        ),
        min_size=1,
    )
)
def test_json_keeps_everything(words: list[Word]) -> None:
    annotation = Annotation("predicted", tuple(words))
    assert Annotation.from_json(annotation.to_json()) == annotation
