"""The query commands over a database made from a simulated archive."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import Result

from indexer.simulation import SimulatedFinding, Simulation

Ask: TypeAlias = Callable[..., Any]
Run: TypeAlias = Callable[..., Result]


@pytest.fixture(scope="module")
def loose(simulation: Simulation) -> list[Path]:
    """Indexed files of the archive that are not inside a zip."""
    paths = [simulation.folder / f.name for f in simulation.files if f.outcome == "done"]
    return [path for path in paths if path.is_file()]


def test_status_counts_every_file(simulation: Simulation, database: Path, ask: Ask) -> None:
    images = ask("status", "--database", database)["images"]
    truth = [f.outcome for f in simulation.files]
    assert images["done"] == truth.count("done")
    assert images["duplicate"] == truth.count("duplicate")
    assert sum(images.values()) == len(truth)


def test_failures_name_file_and_reason(simulation: Simulation, database: Path, ask: Ask) -> None:
    rows = {row["name"]: row for row in ask("failures", "--database", database)}
    for file in simulation.files:
        if file.reason:
            assert rows[file.name]["reason"] == file.reason, file.name
            assert rows[file.name]["status"] == file.outcome
        if file.outcome in ("done", "duplicate"):
            assert file.name not in rows


def test_an_indexed_file_finds_itself_first(database: Path, loose: list[Path], ask: Ask) -> None:
    for path in loose[:4]:
        answer = ask("similar", path, "-k", "3", "--database", database)
        assert answer["hits"][0]["score"] > 0.999
        scores = [hit["score"] for hit in answer["hits"]]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] == 1 > scores[1]


def test_an_id_finds_others_than_itself(database: Path, loose: list[Path], ask: Ask) -> None:
    first = ask("similar", loose[0], "-k", "1", "--database", database)["hits"][0]
    for text in (first["id"], first["id"][:8]):
        hits = ask("similar", text, "--database", database)["hits"]
        assert len(hits) == 10
        assert first["id"] not in {hit["id"] for hit in hits}
    others = ask("similar", first["id"], "-k", "50", "--exclude-study", "--database", database)
    assert first["study"] not in {hit["study"] for hit in others["hits"]}
    patients = ask("similar", loose[0], "-k", "50", "--exclude-patient", "--database", database)
    assert first["patient"] not in {hit["patient"] for hit in patients["hits"]}
    grouped = ask("similar", first["id"], "-k", "8", "--group", "study", "--database", database)
    assert len({hit["study"] for hit in grouped["hits"]}) == len(grouped["hits"]) == 8


def test_a_filter_filters_pictures_and_words(database: Path, loose: list[Path], ask: Ask) -> None:
    every = ask("search", "*:*", "--images", "--limit", "100", "--database", database)
    for sex in ("M", "F"):
        expected = {hit["id"] for hit in every["hits"] if hit["sex"] == sex}
        assert expected
        limits = ("--filter", f"sex:{sex}", "--images", "--limit", "100", "--database", database)
        words, near = ask("search", "*:*", *limits), ask("similar", loose[0], *limits)
        assert {hit["id"] for hit in words["hits"]} == expected == {h["id"] for h in near["hits"]}


def test_words_find_reports_and_are_marked(
    simulation: Simulation, database: Path, ask: Ask
) -> None:
    answer = ask("search", '"pleural effusion" AND left', "--limit", "100", "--database", database)
    truth = [
        file
        for file in simulation.files
        if file.outcome == "done" and SimulatedFinding("effusion", "left") in file.findings
    ]
    assert truth
    assert answer["total"] >= len(truth)
    for hit in answer["hits"]:
        marks = " ".join(hit["highlights"]["report"] + hit["highlights"]["annotations"])
        assert re.search(r"<em>pleural</em> <em>effusion|<em>pleural effusion", marks, re.I)


def test_meaning_words_and_picture_at_once(
    simulation: Simulation, database: Path, loose: list[Path], run: Run, ask: Ask
) -> None:
    at = ("--database", database)
    sentence = ask("search", "fluid around (the lung", "--mode", "semantic", *at)
    kinds = {reason["kind"] for hit in sentence["hits"] for reason in hit["reasons"]}
    assert kinds == {"annotation", "picture"}
    best = min(
        (r for hit in sentence["hits"] for r in hit["reasons"] if r["kind"] == "annotation"),
        key=lambda reason: reason["rank"],
    )
    assert best["text"].startswith("pleural effusion")
    run_words = ("search", "effusion", "--image", loose[0], "--limit", "5", *at)
    both = ask(*run_words, "--mode", "hybrid")
    first = ask("similar", loose[0], "-k", "1", *at)["hits"][0]["id"]
    single = ("--images", "--limit", "100", *at)
    every = ask("search", "effusion", "--image", loose[0], *single)
    reasons = {hit["id"]: {r["kind"]: r for r in hit["reasons"]} for hit in every["hits"]}
    assert reasons[first]["image"]["rank"] == 1
    matching = {
        h["id"] for h in ask("search", "effusion", "--images", "--limit", "100", *at)["hits"]
    }
    assert {image for image, own in reasons.items() if "words" in own} == matching
    table = run(*run_words, "--mode", "hybrid").stdout
    assert "why" in table
    assert all(hit["id"] in table for hit in both["hits"])
    rows = list(csv.DictReader(io.StringIO(run(*run_words, "--format", "csv").stdout)))
    assert any(row["why"].startswith("words ") for row in rows)
    refused = run("search", "fluid", "--mode", "semantic", "--page", "101", *at)
    assert refused.exit_code == 6
    assert "first 1,000 images" in refused.stderr


def test_pages_do_not_overlap(database: Path, ask: Ask) -> None:
    whole = ask("search", "*:*", "--limit", "12", "--database", database)
    pages = []
    for page in ("1", "2", "3"):
        answer = ask("search", "*:*", "--limit", "4", "--page", page, "--database", database)
        pages += [hit["id"] for hit in answer["hits"]]
    assert pages == [hit["id"] for hit in whole["hits"]]
    assert len(set(pages)) == 12


@pytest.mark.parametrize("query", ["*:*", "view:lateral OR mass"])
def test_a_row_stands_for_a_study_unless_images_are_asked_for(
    database: Path, run: Run, ask: Ask, query: str
) -> None:
    words = ("search", query, "--limit", "100", "--database", database)
    studies, images = ask(*words)["hits"], ask(*words, "--images")["hits"]
    by_study: dict[str, set[str]] = {}
    for hit in images:
        by_study.setdefault(hit["study"], set()).add(hit["id"])
        assert hit["images"] == [hit["id"]]
    assert any(len(own) > 1 for own in by_study.values())
    assert len(studies) == len(by_study) < len(images)
    for hit in studies:
        assert hit["images"][0] == hit["id"]
        assert len(hit["images"]) == len(by_study[hit["study"]])
        assert {*hit["images"]} == by_study.pop(hit["study"])
    table, single = run(*words).stdout, run(*words, "--images").stdout
    assert sum(hit["id"] in table for hit in images) == len(studies)
    assert all(hit["id"] in single for hit in images)


def test_facets_add_up(database: Path, ask: Ask) -> None:
    answer = ask("search", "*:*", "--facet", "view", "--facet", "sex", "--database", database)
    assert set(answer["facets"]) == {"view", "sex"}
    assert sum(c["count"] for c in answer["facets"]["view"]) == answer["total"]


def test_every_form_says_the_same(database: Path, run: Run, ask: Ask) -> None:
    words = ("search", "mass OR effusion", "--limit", "5", "--database", database)
    hits = ask(*words)["hits"]
    ids = [hit["id"] for hit in hits]
    lines = run(*words, "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == hits
    assert run(*words, "--format", "ids").stdout.split() == ids
    rows = list(csv.DictReader(io.StringIO(run(*words, "--format", "csv").stdout)))
    assert [row["id"] for row in rows] == ids
    table = run(*words).stdout
    assert all(name in table for name in ids)


def test_show_is_complete_and_hides_paths(database: Path, run: Run, ask: Ask) -> None:
    hit = ask("search", "effusion", "--limit", "1", "--database", database)["hits"][0]
    shown = ask("show", hit["id"], "--database", database)
    assert shown["annotations"] == hit["annotations"]
    assert shown["probabilities"]
    assert all(0 <= chance <= 1 for chance in shown["probabilities"].values())
    assert "SIMULATED" not in json.dumps(shown["report"]) or shown["report"]
    assert "studies" not in json.dumps(shown["provenance"])
    assert "sources" not in shown
    assert ask("show", hit["id"], "--source", "--database", database)["sources"]
    page = run("show", hit["id"], "--database", database).stdout
    assert hit["id"] in page
    assert "provenance" in page


def test_verify_and_doctor(database: Path, run: Run, ask: Ask) -> None:
    verified = ask("verify", "--database", database)
    assert (verified["consistent"], verified["problems"]) == (True, [])
    assert verified["vectors"]["kind"] == "flat"
    assert verified["vectors"]["recall"] == 1
    report = ask("doctor")
    assert all(decoder["available"] for decoder in report["decoders"])
    assert len(report["decoders"]) >= 12
    assert run("doctor").exit_code == 0


def test_the_database_may_come_from_the_environment(
    database: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXRDEX_DATABASE", str(database))
    assert run("status").exit_code == 0


def test_no_answer_names_a_file_or_a_person(
    simulation: Simulation, database: Path, loose: list[Path], run: Run
) -> None:
    for words in (("similar", loose[0]), ("search", "mass"), ("status",)):
        out = run(*words, "--database", database, "--format", "json").stdout
        assert "SIMULATED^" not in out
        assert not [f.name for f in simulation.files if f.name in out]
