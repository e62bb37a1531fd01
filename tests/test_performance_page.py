"""docs/performance.md says what the kept results say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.all import main
from benchmarks.tables import PAGE, render

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


def test_the_tables_are_those_of_the_results() -> None:
    assert PAGE.read_text() == render(PAGE.read_text()), "run `python -m benchmarks.tables`"


@pytest.mark.parametrize("name", sorted(path.stem for path in RESULTS.glob("*.json")))
def test_a_result_says_where_it_comes_from(name: str) -> None:
    result = json.loads((RESULTS / f"{name}.json").read_text())
    assert result["command"].startswith(("python -m benchmarks.", "cxrdex evaluate "))
    assert result["date"]
    assert result["machine"]["cores"] >= 1


def test_all_benchmarks_can_be_started() -> None:
    assert {option.name for option in main.params} == {"full", "openi"}
