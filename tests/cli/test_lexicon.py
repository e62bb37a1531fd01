"""`cxrdex lexicon`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from click.testing import Result

Ask: TypeAlias = Callable[..., Any]
Run: TypeAlias = Callable[..., Result]


def test_a_term(run: Run, ask: Ask) -> None:
    text = run("lexicon", "ptx").stdout
    for piece in ("pneumothorax", "pleural diseases", "hydropneumothorax", "disease", "loosely"):
        assert piece in text
    assert '"ptx" OR "pneumothorax"' in text
    answer = ask("lexicon", "collapsed", "lung")
    assert answer["term"] == "collapsed lung"
    assert [h["heading"] for h in answer["headings"]] == ["pneumothorax", "pulmonary atelectasis"]
    assert answer["query"].startswith('("collapsed" AND "lung") OR "pneumothorax"')
    assert "location lower lobe and side right" in run("lexicon", "RLL").stdout


def test_all_headings(run: Run, ask: Ask) -> None:
    answer = ask("lexicon")
    names = [heading["heading"] for heading in answer["headings"]]
    assert len(names) >= 150
    assert answer["forms"] >= 600
    result = run("lexicon")
    assert f"{len(names)} headings" in result.stdout
    assert f"{answer['forms']} surface forms" in result.stdout
    assert "pulmonary disease, chronic obstructive" in result.stdout


def test_an_unknown_term(run: Run) -> None:
    result = run("lexicon", "pneumotorax")
    assert result.exit_code == 7
    assert result.stdout == ""
    assert result.stderr == (
        'Error: the lexicon does not know "pneumotorax"; did you mean "pneumothorax"?\n'
    )


def test_a_search_says_what_the_bundle_cannot(run: Run, database: Path) -> None:
    result = run("search", "sarcoid", "--database", database, "--format", "json")
    assert result.exit_code == 0
    (note,) = json.loads(result.stdout)["notes"]
    assert '"sarcoidosis"' in note
    assert result.stderr == f"Note: {note}\n"
    assert run("search", "ptx", "--database", database, "--format", "json").stderr == ""


def test_a_search_says_that_narrower_values_are_counted_by_name(run: Run, database: Path) -> None:
    words = ('disease:"lung diseases"', "--facet", "disease", "--database", database)
    result = run("search", *words, "--format", "json")
    found = json.loads(result.stdout)
    (note,) = [note for note in found["notes"] if "also finds" in note]
    assert note.startswith('disease:"lung diseases" also finds ')
    assert note.endswith("the facet counts each by its own name")
    assert f"Note: {note}\n" in result.stderr
    own = {count["value"]: count["count"] for count in found["facets"]["disease"]}
    assert own.get("lung diseases", 0) < found["total"]
    plain = run(
        "search", 'disease:opacity -disease:"lung diseases"', *words[1:], "--format", "json"
    )
    assert "also finds" not in plain.stderr
