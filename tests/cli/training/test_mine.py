"""`cxrdex mine` prints what the survey found, and names what is wrong with a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import Result

Run: TypeAlias = Callable[..., Result]
Ask: TypeAlias = Callable[..., Any]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    rows = [f"n{n},normal" for n in range(30)]
    rows += [f"o{n},Opacity/lung/left;Emphysema/mild" for n in range(25)]
    rows += [f"e{n},Emphysema/severe" for n in range(21)] + ["u,No Indexing", "x,Mass/lefft"]
    path.write_text("\n".join(["image_id,annotation", *rows]) + "\n")
    return path


def test_json(table: Path, ask: Ask) -> None:
    answer = ask("mine", table)
    assert answer["totals"]["images"] == 78
    assert answer["totals"]["unannotated"] == 1
    assert answer["labels"]["findings"] == ["emphysema", "normal", "opacity"]
    assert answer["source"] == "mesh"
    first = answer["findings"][0]
    assert (first["name"], first["images"], first["shared"]) == ("emphysema", 46, 25)
    assert ask("mine", table, "--min-images", "22")["labels"]["pairs"][0][0] == "emphysema"


def test_csv_has_every_row(table: Path, run: Run, ask: Ask) -> None:
    rows = list(csv.DictReader(io.StringIO(run("mine", table, "--format", "csv").stdout)))
    answer = ask("mine", table)
    kinds = ("classes", "findings", "pairs", "words")
    assert len(rows) == sum(len(answer[kind]) for kind in kinds)
    dropped = [r for r in rows if r["kept"] == "no"]
    assert all(r["reason"] for r in dropped)
    assert {"label": "finding", "name": "mass"}.items() <= dropped[1].items()


def test_table_says_why(table: Path, run: Run) -> None:
    out = run("mine", table, "--classes", "paper").stdout
    assert "several findings" in out
    assert "78 of 78 studies" in out
    assert "emphysema + opacity" in out
    short = run("mine", table, "--rows", "1").stdout
    assert "--rows 0 shows all" in short


def test_text_reports(tmp_path: Path, ask: Ask) -> None:
    (tmp_path / "a.txt").write_text("No effusion. Cardiomegaly.")
    answer = ask("mine", tmp_path, "--min-images", "1")
    assert answer["labels"]["findings"] == ["cardiomegaly"]
    assert answer["source"] == "text"


def test_an_unreadable_report_is_told_and_skipped(tmp_path: Path, run: Run) -> None:
    (tmp_path / "a.txt").write_text("Cardiomegaly.")
    (tmp_path / "b.xml").write_text("<x")
    result = run("mine", tmp_path, "--labels", "text")
    assert result.exit_code == 0
    assert "b.xml" in result.stderr


def test_errors(table: Path, run: Run) -> None:
    table.write_text("image_id,annotation\nx,\n")
    result = run("mine", table)
    assert result.exit_code == 11
    assert "line 2, column annotation" in result.stderr
    both = run("mine", table, "--classes", "paper", "--min-images", "3")
    assert both.exit_code == 2
    assert run("mine", table.with_name("gone")).exit_code == 2
    table.write_text("image_id,annotation\nx,Mass\n")
    assert run("mine", table, "--part", "val").exit_code == 11


def test_open_i_matches_the_known_counts(shared: Path, ask: Ask) -> None:
    folder = shared / "openi"
    if not folder.is_dir():
        pytest.skip(f"no Open-i collection at {folder}")
    totals = ask("mine", folder, "--classes", "paper")["totals"]
    # The shared part of the collection of 7,284 annotated images, 145 terms and 87 qualifiers.
    assert totals["images"] == 6332
    assert totals["terms"] <= 145
    assert totals["qualifiers"] <= 87
    assert totals["patterns"] <= 1333
    assert 0.33 < totals["normal"] / totals["images"] < 0.4
