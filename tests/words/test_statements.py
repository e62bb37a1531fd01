from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.words.labeller import MAX_CHARACTERS, label, statements


def _left(text: str) -> list[str]:
    return statements({"findings": text})["findings"].split()


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("No focal consolidation to suggest active tuberculous infection.", "tuberculous"),
        ("No adenopathy.", "adenopathy"),
        ("Without cavitary or miliary disease.", "miliary"),
        ("There is no evidence of rib notching.", "notching"),
        ("Neither bronchiectasis nor honeycombing is seen.", "honeycombing"),
        ("Kerley lines are not seen.", "Kerley"),
        ("Mediastinal haematoma has resolved.", "haematoma"),
        ("The left scapula is not fractured.", "fractured"),
        ("Free of silicotic change.", "silicotic"),
        ("Possible pneumonia.", "pneumonia"),
        ("Pneumothorax? None.", "Pneumothorax"),
        ("Pneumothorax? No", "Pneumothorax"),
        ("Is there a pneumothorax, or an effusion?", "pneumothorax"),
        ("Opacity at the left base, pneumonia?", "pneumonia"),
        ("[ ] effusion [x] pneumothorax", "effusion"),
        ("\u2610 effusion \u2611 pneumothorax \u2610 cardiomegaly", "cardiomegaly"),
        ("Pleural effusion [ ]", "effusion"),
        ("Pleural effusion \u2610. Pneumothorax \u2612.", "effusion"),
    ],
)
def test_what_is_denied_is_blanked_whatever_it_is(text: str, gone: str) -> None:
    assert gone not in " ".join(_left(text))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("No adenopathy, but Kerley lines are present.", "Kerley"),
        ("No change in the cavitary lesion.", "cavitary"),
        ("Kerley lines are seen. No adenopathy.", "Kerley"),
        ("No adenopathy. Honeycombing at the bases.", "Honeycombing"),
        ("The left scapula is not fractured.", "scapula"),
        ("Effusion without notching.", "Effusion"),
        ("Opacity at the left base, pneumonia?", "Opacity"),
        ("Pneumothorax? None. Left effusion.", "effusion"),
        ("[ ] effusion [x] pneumothorax", "pneumothorax"),
        ("\u2610 effusion \u2611 pneumothorax \u2610 cardiomegaly", "pneumothorax"),
        ("Pleural effusion [ ]. Pneumothorax [x].", "Pneumothorax"),
        ("Notching is no longer progressive, however unchanged.", "unchanged"),
    ],
)
def test_what_is_not_denied_stays(text: str, kept: str) -> None:
    assert kept in " ".join(_left(text))


def test_places_stay() -> None:
    text = "Clear lungs. No adenopathy or mass. Scoliosis."
    left = statements({"findings": text})["findings"]
    assert len(left) == len(text)
    assert all(a in (b, " ") for a, b in zip(left, text, strict=True))


def test_only_what_is_read_is_stated() -> None:
    assert list(statements({"indication": "a", "findings": "b"})) == ["findings"]


def test_a_list_without_full_stops_is_read_to_its_end() -> None:
    text = "lungs clear " * 500 + "cardiomegaly"
    assert {m.annotation.disease for m in label({"findings": text})} >= {"cardiomegaly"}


def test_a_section_is_read_to_a_limit() -> None:
    text = "The lungs are clear. " * (MAX_CHARACTERS // 20) + "Cardiomegaly."
    assert {m.annotation.disease for m in label({"findings": text})} == {"normal"}
    assert "Cardiomegaly" not in statements({"findings": text})["findings"]
    assert len(statements({"findings": text})["findings"]) == MAX_CHARACTERS


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=200))
def test_any_text_keeps_its_places(text: str) -> None:
    left = statements({"findings": text})["findings"]
    assert len(left) == len(text)
    assert all(a in (b, " ") for a, b in zip(left, text, strict=True))
