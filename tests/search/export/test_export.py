"""Exports of a real database, read back by other programs' means."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from indexer.errors import CxrdexError, QueryError
from indexer.pipeline.run import index
from indexer.simulation import Simulation
from search.export.columns import ExportColumn
from search.export.exporting import ExportRequest, export
from search.export.files import open_table
from search.request import SearchRequest
from search.service import SearchService


@pytest.fixture(scope="module")
def service(
    simulated_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SearchService]:
    folder = tmp_path_factory.mktemp("export") / "database"
    shutil.copytree(simulated_database, folder)
    with SearchService(folder) as service:
        yield service


def test_all_images_in_all_forms(service: SearchService, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    total = service.search(SearchRequest(words="*", limit=0)).total
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        assert export(service, ExportRequest(), tmp_path / name) == total
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    table = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    ids = [row["id"] for row in rows]
    assert len(set(ids)) == len(ids) == total
    assert ids == sorted(ids)
    assert ids == [line["id"] for line in lines] == [row["id"] for row in table]
    assert list(rows[0]) == list(lines[0]) == list(table[0])
    assert "report" not in rows[0]
    assert "sources" not in rows[0]
    for row, line, other in zip(rows, lines, table, strict=True):
        assert row["age"] == ("" if line["age"] is None else str(line["age"]))
        assert row["annotations:report"] == "; ".join(line["annotations:report"])
        assert line["annotations:predicted"] == other["annotations:predicted"]
        chance = line["probability:cardiomegaly"]
        assert float(row["probability:cardiomegaly"]) == chance
        assert other["probability:cardiomegaly"] == pytest.approx(chance, abs=1e-6)


def test_a_query_with_filters_gives_what_a_search_finds(
    service: SearchService, tmp_path: Path
) -> None:
    request = SearchRequest(words="effusion", filters=("view:frontal",), limit=1000)
    wanted = {hit.id for hit in service.search(request).hits}
    assert wanted
    asked = ExportRequest(words="effusion", filters=("view:frontal",), columns=("id", "view"))
    assert export(service, asked, tmp_path / "some.csv") == len(wanted)
    lines = (tmp_path / "some.csv").read_text().splitlines()
    assert lines[0] == "id,view"
    assert {line.split(",")[0] for line in lines[1:]} == wanted


def test_reports_and_sources_on_request(
    service: SearchService, tmp_path: Path, simulation: Simulation
) -> None:
    request = ExportRequest(columns=("id",), more=("report", "sources"))
    export(service, request, tmp_path / "more.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "more.jsonl").read_text().splitlines()]
    assert list(lines[0]) == ["id", "report", "sources"]
    assert all(line["sources"][0].startswith(str(simulation.folder)) for line in lines)
    assert any("findings: " in (line["report"] or "") for line in lines)


def test_what_the_bundle_was_trained_on(simulation: Simulation, tmp_path: Path) -> None:
    films = [
        simulation.folder / file.name
        for file in simulation.files
        if file.outcome == "done" and (simulation.folder / file.name).is_file()
    ]
    archive = tmp_path / "archive"
    archive.mkdir()
    # The bundle that ships learnt from an image of the first name.
    for film, name in zip(films, ("CXR1000_IM-0003-1001.dcm", "new.dcm"), strict=False):
        shutil.copy(film, archive / name)
    index([archive], tmp_path / "database")
    with SearchService(tmp_path / "database") as service:
        request = ExportRequest(columns=("split", "id"), more=("sources",))
        assert export(service, request, tmp_path / "split.jsonl") == 2
    lines = [json.loads(line) for line in (tmp_path / "split.jsonl").read_text().splitlines()]
    splits = {Path(line["sources"][0]).name: line["split"] for line in lines}
    assert splits == {"CXR1000_IM-0003-1001.dcm": "train", "new.dcm": "other"}


def test_vectors_alone(service: SearchService, tmp_path: Path) -> None:
    beside, alone = tmp_path / "beside.npy", tmp_path / "alone.npy"
    count = export(service, ExportRequest(columns=("id",), vectors=beside), tmp_path / "t.csv")
    assert export(service, ExportRequest(), alone) == count
    assert np.array_equal(np.load(alone), np.load(beside))
    assert export(service, ExportRequest(words="age:999"), alone) == 0
    assert len(np.load(alone)) == 0
    with pytest.raises(QueryError, match="no columns"):
        export(service, ExportRequest(columns=("id",)), alone)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["alone.npy", "beside.npy", "t.csv"]


def test_vectors_beside_and_inside(service: SearchService, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    beside = tmp_path / "vectors.npy"
    request = ExportRequest(columns=("id",), embeddings=True, vectors=beside)
    count = export(service, request, tmp_path / "with.parquet")
    vectors = np.load(beside)
    inside = parquet.read_table(tmp_path / "with.parquet").to_pylist()
    assert vectors.shape[0] == count
    for row, vector in zip(inside, vectors, strict=True):
        assert np.array_equal(np.float16(row["embedding"]), vector)
    with pytest.raises(QueryError, match="parquet"):
        export(service, ExportRequest(embeddings=True), tmp_path / "with.csv")


@pytest.mark.parametrize(
    ("request_", "name", "told"),
    [
        (ExportRequest(), "table.xlsx", "must end in"),
        (ExportRequest(columns=("ag",)), "table.csv", "did you mean age"),
        (ExportRequest(words="disease:("), "table.csv", "never closed"),
        (ExportRequest(vectors=Path("vectors.bin")), "table.csv", "must end in .npy"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_left(
    service: SearchService, tmp_path: Path, request_: ExportRequest, name: str, told: str
) -> None:
    with pytest.raises(QueryError, match=told):
        export(service, request_, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        " =1",
        '"=1',
        "\n+1",
        "＝1",
        "\ufeff=1",
        "\u200b-1",
    ],
)
def test_no_cell_is_a_formula(tmp_path: Path, text: str) -> None:
    columns = [
        ExportColumn("maker", "text", lambda _: None),
        ExportColumn("words", "texts", lambda _: None),
    ]
    with open_table(tmp_path / "a.csv", columns) as table:
        table.write({"maker": text, "words": [text, "b"]})
    with (tmp_path / "a.csv").open(newline="") as file:
        (row,) = list(csv.reader(file))[1:]
    written = text.replace("\r", "\\x0d").replace("\ufeff", "\\ufeff").replace("\u200b", "\\u200b")
    assert row == ["'" + written, "'" + written + "; b"]


def test_no_cell_of_a_table_has_a_control(tmp_path: Path) -> None:
    with open_table(tmp_path / "a.csv", [ExportColumn("maker", "text", lambda _: None)]) as table:
        table.write({"maker": "\x1b[31mRED\x1b]0;t\x07 \u202e \x9b31m\tA\nB"})
    assert (tmp_path / "a.csv").read_text("utf-8").splitlines()[1:] == [
        '"\\x1b[31mRED\\x1b]0;t\\x07 \\u202e \\x9b31m\tA',
        'B"',
    ]


def test_a_table_that_was_interrupted_is_not_there(tmp_path: Path) -> None:
    def interrupted() -> None:
        with open_table(tmp_path / "a.jsonl", []) as table:
            table.write({})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["nowhere/a.csv", "nowhere/a.jsonl", "folder.csv", "no/a.npy"])
def test_a_place_that_cannot_be_written_is_named(
    service: SearchService, tmp_path: Path, name: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(CxrdexError, match=f"{name} cannot be written"):
        export(service, ExportRequest(), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.csv"]
