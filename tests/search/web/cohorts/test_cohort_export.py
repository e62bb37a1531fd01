"""`cxrdex export --cohort` writes what the page and the API give."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner
from starlette.testclient import TestClient

from cli.main import cxrdex


def test_the_command_writes_the_same_table(
    client: TestClient, web_database: Path, tmp_path: Path
) -> None:
    hits = client.get("/v1/search", params={"limit": 5}).json()["hits"]
    ids = [hit["id"] for hit in hits]
    made = client.post("/v1/cohorts", json={"name": "By hand", "images": ids}).json()
    target = tmp_path / "cohort.csv"
    words = ["export", "--database", str(web_database), "--to", str(target), "--cohort"]
    done = CliRunner().invoke(cxrdex, [*words, made["id"]])
    assert done.exit_code == 0, done.output
    assert "5 images in" in done.output
    table = client.get(f"/v1/cohorts/{made['id']}/export", params={"format": "csv"})
    assert target.read_bytes() == table.content
    unknown = CliRunner().invoke(cxrdex, [*words, "0" * 20])
    assert unknown.exit_code == 7
    assert "no cohort has the id" in unknown.output
