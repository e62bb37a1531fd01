"""`cxrdex labels`: out as a data set, in from a table, and the history on the terminal."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.main import cxrdex
from indexer.annotation import Annotation
from indexer.archive.sources.members import plain_path
from indexer.database.reader import DatabaseReader
from indexer.datasets.images import Dataset
from indexer.simulation import Simulation
from search.request import ImageId
from search.service import SearchService


def run(*words: str | Path, code: int = 0) -> Result:
    result = CliRunner().invoke(cxrdex, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def database(simulated_database: Path, tmp_path: Path) -> Path:
    shutil.copytree(simulated_database, tmp_path / "database")
    return tmp_path / "database"


def table(path: Path, *rows: dict[str, str]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def ids(database: Path) -> list[str]:
    """Images whose files lie in folders, which a data set can name."""
    with DatabaseReader.open(database) as opened:
        found = sorted(opened.image_ids())
    with SearchService(database) as service:
        records = [service.show(ImageId(image)).record for image in found]
    return [
        record.id
        for record in records
        if any(plain_path(file.archive, file.name) for file in record.files)
    ]


def row(image: str, finding: str, verdict: str, words: str = "") -> dict[str, str]:
    return {"image": image, "finding": finding, "verdict": verdict, "words": words}


def history(database: Path, image: str) -> Any:
    return json.loads(
        run("labels", "history", image, "--database", database, "--format", "json").stdout
    )


def test_in_and_out(database: Path, tmp_path: Path, simulation: Simulation) -> None:
    first, second, *_ = ids(database)
    said = table(
        tmp_path / "said.csv",
        row(first, "opacity", "present", "left;base"),
        row(first, "pneumothorax", "absent"),
        row(second, "pneumothorax", "present"),
    )
    told = run("labels", "import", said, "--person", "ann", "--database", database).stdout
    assert "3 findings judged of 2 images" in told
    again = run("labels", "import", said, "--database", database, "--format", "json").stdout
    assert json.loads(again) == {"images": 0, "events": 0, "waiting": False}
    assert [event["person"] for event in history(database, first)["history"]] == ["ann", "ann"]
    assert "ann" in run("labels", "history", first[:10], "--database", database).stdout
    found = run("search", "absent:pneumothorax", "--images", "--database", database,
                "--format", "ids").stdout  # fmt: skip
    assert first in found.split()

    folder = tmp_path / "set"
    told = run("labels", "export", "--to", folder, "--database", database).stdout
    assert told.startswith("2 images in ")
    examples = {e.image_id: e for e in Dataset.open(folder).examples() if e is not None}
    assert len(examples) == 2
    known = {json.dumps(dict(e.findings), sort_keys=True): e for e in examples.values()}
    denied = known['{"normal": 0.0, "pneumothorax": 0.0}']
    assert denied.annotations == (Annotation.from_words("human", "opacity", ["left", "base"]),)
    assert denied.others is None
    given = known['{"normal": 0.0, "pneumothorax": 1.0}']
    assert given.path.is_file()
    assert simulation.folder in given.path.parents
    assert not list(folder.rglob("*.dcm"))
    told = run("labels", "export", "--to", folder, "--database", database, code=4).output
    assert "is there already" in told


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"image": "0" * 16}, "line 3, column image"),
        ({"finding": "pneumotorax"}, "near it are pneumothorax"),
        ({"verdict": "perhaps"}, "column verdict"),
        ({"verdict": "absent", "words": "left"}, "column words"),
        ({"words": "lefft"}, "left"),
    ],
)
def test_nothing_of_a_wrong_table_is_kept(
    database: Path, tmp_path: Path, changed: dict[str, str], told: str
) -> None:
    image = ids(database)[0]
    right = row(image, "pneumothorax", "present")
    said = table(tmp_path / "said.csv", right, {**right, **changed})
    assert told in run("labels", "import", said, "--database", database, code=6).output
    assert history(database, image)["history"] == []


def test_a_table_of_other_columns(database: Path, tmp_path: Path) -> None:
    said = table(tmp_path / "said.csv", {"image": "a", "finding": "b"})
    assert "lacks verdict" in run("labels", "import", said, "--database", database, code=6).output
    assert (
        "cannot be read"
        in run("labels", "import", tmp_path / "none.csv", "--database", database, code=6).output
    )


def test_nobody_has_said_anything(database: Path, tmp_path: Path) -> None:
    image = ids(database)[0]
    assert "nobody" in run("labels", "history", image, "--database", database).stdout
    folder = tmp_path / "set"
    assert (
        "nobody" in run("labels", "export", "--to", folder, "--database", database, code=7).output
    )
    assert not folder.exists()
