"""The JSON of `search` and `similar` is what docs/schema promises, key by key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import jsonschema
import pytest
from click.testing import Result

from search.results import FacetCount, Hit, Results

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schema/results-1.json").read_text())

Ask: TypeAlias = Callable[..., Any]
Run: TypeAlias = Callable[..., Result]


@pytest.mark.parametrize(
    "words",
    [
        ("search", "effusion left"),
        ("search", "*", "--images", "--sort", "age", "--facet", "age", "--facet", "view"),
        ("search", "no effusion in women over 40"),
        ("search", "absent:pneumothorax", "--filter", "sex:F"),
        ("search", "efusion"),
        ("search", "fluid around the lung", "--mode", "semantic"),
        ("search", "effusion", "--mode", "hybrid", "--image", "ID"),
        ("similar", "ID"),
        ("similar", "ID", "--images", "--exclude-patient"),
    ],
    ids=" ".join,
)
def test_answers_are_as_the_schema_says(
    database: Path, run: Run, ask: Ask, words: tuple[str, ...]
) -> None:
    first = ask("search", "*", "--limit", "1", "--database", database)["hits"][0]["id"]
    line = [first if word == "ID" else word for word in words]
    answer = ask(*line, "--database", database)
    jsonschema.validate(answer, SCHEMA)
    lines = run(*line, "--database", database, "--format", "jsonl").stdout.splitlines()
    assert [json.loads(text) for text in lines] == answer["hits"]


def test_the_schema_refuses_what_lacks_a_key() -> None:
    answer = Results(0, [], {"view": [FacetCount("frontal", 1)]}).to_json()
    jsonschema.validate(answer, SCHEMA)
    for name in answer:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({k: v for k, v in answer.items() if k != name}, SCHEMA)
    assert {*Hit.__dataclass_fields__} >= {"images", "in_sample", "reasons", "highlights"}
