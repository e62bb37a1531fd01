"""Cohorts over the REST API."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from starlette.testclient import TestClient

pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(scope="module")
def images(client: TestClient) -> list[str]:
    hits = client.get("/v1/search", params={"limit": 12, "sort": "id"}).json()["hits"]
    return [hit["id"] for hit in hits]


def make(client: TestClient, **body: Any) -> tuple[dict[str, Any], str]:
    answer = client.post("/v1/cohorts", json={"name": "A", **body})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert answer.headers["location"] == f"/v1/cohorts/{made['id']}"
    return made, answer.headers["etag"]


def test_made_read_listed_deleted(client: TestClient, images: list[str]) -> None:
    made, tag = make(client, name="Effusions", note="why", images=images[:3])
    address = f"/v1/cohorts/{made['id']}"
    found = client.get(address)
    assert found.json() == made
    assert found.headers["etag"] == tag
    assert client.get(address, headers={"if-none-match": tag}).status_code == 304
    listed = client.get("/v1/cohorts").json()["cohorts"]
    assert {"id": made["id"], "count": 3}.items() <= listed[0].items()
    assert "images" not in listed[0]
    assert client.delete(address, headers={"if-match": tag}).status_code == 204
    assert client.get(address).status_code == 404


def test_a_change_names_the_state_that_it_changes(client: TestClient, images: list[str]) -> None:
    made, tag = make(client, images=images[:2])
    address = f"/v1/cohorts/{made['id']}"
    body = {"add": images[2:4], "remove": images[:1], "note": "n"}
    assert client.patch(address, json=body).status_code == 428
    assert client.put(address, json={"name": "A", "images": []}).status_code == 428
    assert client.delete(address).status_code == 428
    changed = client.patch(address, json=body, headers={"if-match": tag})
    assert changed.json()["images"] == images[1:4]
    stale = client.patch(address, json=body, headers={"if-match": tag})
    assert stale.status_code == 412
    assert stale.headers["content-type"] == "application/problem+json"
    whole = {"name": "B", "images": images[:1]}
    put = client.put(address, json=whole, headers={"if-match": changed.headers["etag"]})
    assert (put.json()["name"], put.json()["note"], put.json()["images"]) == ("B", "", images[:1])
    assert client.put(address, json=whole, headers={"if-match": f"W/{tag}"}).status_code == 412
    assert client.delete(address, headers={"if-match": "*"}).status_code == 204


def test_all_of_an_answer(client: TestClient) -> None:
    made, tag = make(client)
    search = {"q": "effusion", "choose": ["view=frontal"]}
    total = client.get("/v1/search", params={**search, "limit": 0}).json()["total"]
    address = f"/v1/cohorts/{made['id']}"
    added = client.post(f"{address}/answers", json=search, headers={"if-match": tag}).json()
    assert added["count"] == total > 1
    within = client.get("/v1/search", params={"cohort": made["id"], "limit": 200}).json()
    assert {hit["id"] for hit in within["hits"]} == {*added["images"]}
    counts = client.get("/v1/facets", params={"cohort": made["id"], "facet": "view"}).json()
    assert counts["facets"]["view"] == [{"value": "frontal", "count": total}]
    for mode in ("semantic", "hybrid"):
        ranked = client.get(
            "/v1/search", params={"q": "lung", "mode": mode, "cohort": made["id"], "limit": 200}
        ).json()
        assert {hit["id"] for hit in ranked["hits"]} == {*added["images"]}
    like = client.get(
        f"/v1/images/{added['images'][0]}/similar", params={"cohort": made["id"], "limit": 200}
    ).json()
    assert {hit["id"] for hit in like["hits"]} == {*added["images"][1:]}


def test_an_empty_cohort_finds_nothing(client: TestClient) -> None:
    made, _ = make(client)
    assert client.get("/v1/search", params={"cohort": made["id"]}).json()["total"] == 0
    assert client.get("/v1/search", params={"cohort": "0" * 20}).status_code == 404
    assert client.get("/v1/search", params={"cohort": "x"}).status_code == 422


@pytest.mark.parametrize(
    ("how", "wanted"),
    [("union", [0, 1, 2, 3]), ("difference", [0, 1]), ("intersection", [2])],
)
def test_two_cohorts_combined(
    client: TestClient, images: list[str], how: str, wanted: list[int]
) -> None:
    first, _ = make(client, images=images[:3])
    second, _ = make(client, images=images[2:4])
    of = {"how": how, "first": first["id"], "second": second["id"]}
    made, _ = make(client, of=of)
    assert made["images"] == [images[number] for number in wanted]


def test_exports_are_those_of_the_command(client: TestClient, images: list[str]) -> None:
    made, _ = make(client, name="Effusion / 2026", images=images[:4])
    address = f"/v1/cohorts/{made['id']}/export"
    table = client.get(address)
    assert table.headers["content-disposition"] == 'attachment; filename="Effusion-2026.csv"'
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["id"] for row in rows] == sorted(images[:4])
    assert "report" not in rows[0]
    lines = client.get(address, params={"format": "jsonl"}).text.splitlines()
    assert [json.loads(line)["id"] for line in lines] == sorted(images[:4])
    parquet = pq.read_table(io.BytesIO(client.get(address, params={"format": "parquet"}).content))
    assert parquet.column("id").to_pylist() == sorted(images[:4])
    assert client.get(address, params={"format": "xls"}).status_code == 422


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"name": ""}, 422, "name"),
        ({"name": "  "}, 400, "needs a name"),
        ({"name": "A", "images": ["x"]}, 422, "images"),
        ({"name": "A", "images": ["0" * 16]}, 400, "no image"),
        ({"name": "A", "colour": "red"}, 422, "colour"),
        ({"name": "A", "of": {"how": "union", "first": "0" * 20, "second": "0" * 20}}, 404, "no"),
    ],
)
def test_what_is_wrong_is_a_problem(
    client: TestClient, body: dict[str, Any], status: int, told: str
) -> None:
    answer = client.post("/v1/cohorts", json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert told in answer.text


def test_openapi_tells_of_them(client: TestClient) -> None:
    paths = client.get("/v1/openapi.json").json()["paths"]
    one = paths["/v1/cohorts/{cohort_id}"]
    assert {"get", "put", "patch", "delete"} <= {*one}
    assert {"412", "428"} <= {*one["put"]["responses"]}
    names = [p["name"] for p in paths["/v1/search"]["get"]["parameters"]]
    assert "cohort" in names
