"""Hits as people read them: who says what first, what is folded, and that lines fit."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from rich.cells import cell_len

from cli.searching.rows import show_hits, without_normal
from indexer.annotation import Annotation, Certainty, Origin, Word
from search.highlights import Highlighter
from search.language.query import parse
from search.results import Hit, Results
from tests.search.corpus import image_document

_PEOPLE: tuple[tuple[Origin, str], ...] = (
    ("report", "opacity; lung; base; left"),
    ("human", "nodule; lung; upper lobe; right; multiple; round"),
)
_PREDICTED: tuple[tuple[str, float, Certainty], ...] = (
    ("normal", 0.76, "likely"),
    ("cardiomegaly", 0.61, "likely"),
    ("scoliosis", 0.2, "possible"),
    ("nodule", 0.1, "possible"),
)


def _hit(
    predicted: Sequence[tuple[str, float, Certainty]] = _PREDICTED,
    by_people: Sequence[tuple[Origin, str]] = _PEOPLE,
    query: str | None = None,
) -> Hit:
    document = image_document("a" * 16, by_people, sex="F", age=61, year=2013)
    made = [
        Annotation("predicted", (Word(disease, "disease", chance),), certainty).to_json()
        for disease, chance, certainty in predicted
    ]
    document["annotations"] = [*made, *document["annotations"]]
    highlights = Highlighter(parse(query)).mark(document) if query else None
    return Hit(document["id"], 0.5, document, highlights, images=("a" * 16, "b" * 16))


def _lines(hit: Hit, capsys: pytest.CaptureFixture[str]) -> list[str]:
    show_hits(Results(1, [hit] * 3, {}))
    lines = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    begins = [number for number, line in enumerate(lines) if line.startswith("2 ")]
    return lines[: begins[0]]


def test_what_people_say_stands_first_and_what_is_uncertain_is_folded(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _lines(_hit(), capsys)[1:] == [
        "  nodule, lung, upper lobe, right, multiple, round (human); "
        "opacity, lung, base, left (report)",
        "  predicted: cardiomegaly 0.61; 2 less certain",
    ]


@pytest.mark.parametrize(
    ("predicted", "line"),
    [
        (_PREDICTED, "predicted: cardiomegaly 0.61; 2 less certain"),
        ((("normal", 0.76, "likely"),), None),
        ((("normal", 0.76, "likely"), ("nodule", 0.1, "possible")), "predicted: 1 less certain"),
    ],
)
def test_normal_never_stands_beside_a_finding_of_people_even_where_it_was_asked_for(
    capsys: pytest.CaptureFixture[str],
    predicted: Sequence[tuple[str, float, Certainty]],
    line: str | None,
) -> None:
    lines = _lines(_hit(predicted, query="disease:normal"), capsys)[2:]
    assert lines == ([f"  {line}"] if line else [])


def test_an_uncertain_prediction_that_matched_is_shown_and_not_counted_twice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = _lines(_hit(by_people=(), query="scoliosis"), capsys)
    assert lines[1:] == [
        "  predicted: normal 0.76; cardiomegaly 0.61; [scoliosis] 0.20, possible; 1 less certain"
    ]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_lines_fit_and_go_on_below_their_beginning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    lines = _lines(_hit(query="nodule OR scoliosis"), capsys)
    assert all(cell_len(line) <= width for line in lines), lines
    assert [line[:2] for line in lines] == ["1 "] + ["  "] * (len(lines) - 1)
    assert not [line for line in lines if line != line.rstrip()]
    assert len(lines) <= (4 if width == 200 else 6 if width == 80 else 12)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_lines_in_a_pipe_are_as_wide_as_columns_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert max(map(len, _lines(_hit(query="nodule"), capsys))) <= width


def test_all_of_an_image_says_normal_only_where_people_found_nothing() -> None:
    document = _hit().document
    found = without_normal(document["annotations"], document["annotations"])
    assert [a["text"] for a in found if a["disease"] == "normal"] == []
    assert len(found) == len(document["annotations"]) - 1
    quiet = _hit(by_people=()).document["annotations"]
    assert without_normal(quiet, quiet) == quiet
