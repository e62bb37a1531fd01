"""The JSON of `search` and `similar` is what docs/schema promises, key by key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import jsonschema
import pytest
from click.testing import Result

from indexer.annotation import KINDS, Annotation, Word, in_full
from indexer.database.reader import DatabaseReader
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


def test_the_schema_refuses_an_annotation_or_a_reason_that_lacks_a_key(
    database: Path, ask: Ask
) -> None:
    answer = ask("search", "*", "--limit", "1", "--database", database)
    (hit,) = answer["hits"]
    annotation = hit["annotations"][0]
    assert {*annotation} == {
        *("text", "origin", "confidence", "certainty", "disease", "organ", "location", "side"),
        *("severity", "other", "words"),
    }
    for holder in (annotation, annotation["words"][0], hit["reasons"][0]):
        for name in [*holder]:
            value = holder.pop(name)
            with pytest.raises(jsonschema.ValidationError, match=name):
                jsonschema.validate(answer, SCHEMA)
            holder[name] = value
    jsonschema.validate(answer, SCHEMA)


def test_show_has_every_key_of_an_annotation_and_nothing_of_it_is_stored(
    database: Path, ask: Ask
) -> None:
    annotation = {"$defs": SCHEMA["$defs"], "$ref": "#/$defs/annotation"}
    shown: list[dict[str, Any]] = []
    found = ask("search", "*", "--images", "--limit", "100", "--database", database)
    for hit in found["hits"]:
        answer = ask("show", hit["id"], "--database", database)
        shown += (a for name in ("annotations", "absent", "uncertain") for a in answer[name])
        shown += (answer["alone"] or {"annotations": []})["annotations"]
    for one in shown:
        jsonschema.validate(one, annotation)
    assert any(one["side"] for one in shown)
    assert not all(one["side"] for one in shown)
    with DatabaseReader.open(database) as reader:
        stored = [a for document in reader.documents() for a in document["annotations"]]
    assert stored
    assert all(a.get(kind, True) for a in stored for kind in KINDS[1:]), "a kind is never empty"


def test_an_annotation_of_an_earlier_version_is_shown_with_every_key() -> None:
    earlier = Annotation("predicted", (Word("nodule", "disease", 0.2),)).to_json()
    del earlier["certainty"]
    assert in_full(earlier) == {
        **earlier,
        "certainty": "possible",
        **{kind: [] for kind in ("organ", "location", "side", "severity", "other")},
    }
