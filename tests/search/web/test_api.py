"""The REST API: what it answers, and how it refuses."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image
from starlette.testclient import TestClient

from indexer.simulation import Simulation
from search.service import SearchService
from search.web.app import create_app
from search.web.guard import POLICY
from search.web.people.settings import SignInSettings
from search.web.people.users import Users
from search.web.settings import WebSettings
from tests.pipeline.hostile_files import write_hostile_files

PROBLEM = "application/problem+json"


def get(client: TestClient, address: str, **query: Any) -> Any:
    answer = client.get(address, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def image(client: TestClient) -> str:
    found: str = get(client, "/v1/search", limit=1, sort="id")["hits"][0]["id"]
    return found


def test_no_words_find_everything(client: TestClient, web_service: SearchService) -> None:
    with web_service.snapshot() as snapshot:
        count = len(snapshot.database)
    assert get(client, "/v1/search")["total"] == count
    assert get(client, "/v1/status")["indexed"] == count


def test_pages_follow_each_other_to_the_end(client: TestClient) -> None:
    ids: list[str] = []
    after: dict[str, str] = {}
    while True:
        answer = get(client, "/v1/search", limit=7, sort="id", **after)
        ids += [hit["id"] for hit in answer["hits"]]
        if answer["after"] is None:
            break
        after = {"after": answer["after"]}
    assert len(set(ids)) == len(ids) == answer["total"]
    assert ids == sorted(ids)


def test_facets_and_choices_agree(client: TestClient) -> None:
    counts = get(client, "/v1/facets", facet="view")["facets"]["view"]
    for count in counts:
        chosen = get(client, "/v1/search", choose=f"view={count['value']}", limit=0)
        assert chosen["total"] == count["count"]


def test_suggestions(client: TestClient) -> None:
    near = get(client, "/v1/suggest", q="cardiomegalli")["suggestions"]["cardiomegalli"]
    assert "cardiomegaly" in near
    # A denied word that is mistyped leaves out nothing, and one beside it is given up.
    for words in ("cardiomegaly, no effussion", "left base effussion"):
        near = get(client, "/v1/search", q=words)["suggestions"]
        assert "effusion" in near["effussion"]
        assert len(near) == 1


def test_an_image_without_its_paths(client: TestClient, image: str, simulation: Simulation) -> None:
    shown = client.get(f"/v1/images/{image}")
    assert shown.json()["id"] == image
    assert str(simulation.folder) not in shown.text
    study = get(client, f"/v1/studies/{shown.json()['study']}")
    assert image in [one["id"] for one in study["images"]]


def test_pictures(client: TestClient, image: str) -> None:
    small = client.get(f"/v1/images/{image}/thumbnail")
    assert small.headers["content-type"] == "image/webp"
    film = client.get(f"/v1/images/{image}/pixels", params={"size": 300})
    picture = Image.open(io.BytesIO(film.content))
    assert film.headers["content-type"] == "image/png"
    assert max(picture.size) == 300
    window = {"size": 300, "width": 100, "level": 80}
    seen = client.get(f"/v1/images/{image}/pixels", params=window)
    greys = np.asarray(picture).astype(float)
    wanted = np.clip((greys - 80 + 50) / 100 * 255, 0, 255)
    assert np.abs(np.asarray(Image.open(io.BytesIO(seen.content))) - wanted).max() <= 1
    assert client.get(f"/v1/images/{image}/pixels?level=256").status_code == 422
    label = next(iter(get(client, f"/v1/images/{image}")["probabilities"]))
    heat = client.get(f"/v1/images/{image}/heatmap", params={"label": label, "size": 300})
    layer = Image.open(io.BytesIO(heat.content))
    assert (layer.size, layer.mode) == (picture.size, "RGBA")
    assert 0 <= float(heat.headers["cxrdex-probability"]) <= 1


def test_a_picture_finds_itself_by_id_and_by_file(
    client: TestClient, image: str, web_service: SearchService
) -> None:
    from search.pictures.explain import source_bytes
    from search.request import ImageId

    by_id = get(client, f"/v1/images/{image}/similar", limit=5)
    assert image not in [hit["id"] for hit in by_id["hits"]]
    content, _ = source_bytes(web_service.show(ImageId(image)).record, 1 << 30)
    by_file = client.post("/v1/similar", params={"limit": 5}, content=content).json()
    assert by_file["hits"][0]["id"] == image


def test_all_that_matches_as_a_table(client: TestClient) -> None:
    query = {"q": "effusion", "filter": "view:frontal", "choose": ["sex=f", "sex=m"]}
    wanted = get(client, "/v1/search", **query, limit=200)["hits"]
    answer = client.get("/v1/export", params={**query, "column": ["id", "sex", "age"]})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="effusion.csv"'
    rows = [*csv.DictReader(io.StringIO(answer.text))]
    assert [row["id"] for row in rows] == sorted(hit["id"] for hit in wanted)
    assert {row["sex"] for row in rows} <= {"F", "M"}
    lines = client.get("/v1/export", params={"q": "effusion", "format": "jsonl", "report": True})
    assert all("effusion" in str(json.loads(line)).lower() for line in lines.text.splitlines())
    table = pyarrow.parquet.read_table(
        io.BytesIO(
            client.get("/v1/export", params={"format": "parquet", "embeddings": True}).content
        )
    )
    assert table.num_rows == get(client, "/v1/status")["indexed"]
    assert "embedding" in table.column_names
    wrong = client.get("/v1/export", params={"column": "agee"})
    assert (wrong.status_code, "did you mean age" in wrong.json()["detail"]) == (400, True)


@pytest.mark.parametrize(
    ("address", "status", "told"),
    [
        ("/v1/search?q=disease:(", 400, "column"),
        ("/v1/search?colour=red", 422, "colour"),
        ("/v1/search?limit=1000", 422, "limit"),
        ("/v1/search?after=x", 400, ""),
        ("/v1/search?facet=shoe", 400, "shoe"),
        ("/v1/images/0000000000000000", 404, "0000000000000000"),
        ("/v1/images/..%2f..%2fetc%2fpasswd", 404, ""),
        ("/v1/images/passwd", 422, "image_id"),
        ("/v1/images/0000000000000000/thumbnail", 404, ""),
        ("/v1/studies/000000000000", 404, "no study"),
        ("/v1/nothing", 404, ""),
    ],
)
def test_what_is_wrong_is_a_problem(
    client: TestClient, address: str, status: int, told: str
) -> None:
    answer = client.get(address)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    problem = answer.json()
    assert problem["status"] == status
    assert told in json.dumps(problem)


def test_no_route_takes_an_unknown_parameter(client: TestClient, image: str) -> None:
    study = get(client, f"/v1/images/{image}")["study"]
    cohort = client.post("/v1/cohorts", json={"name": "Asked"}).json()["id"]
    known = {"{image_id}": image, "{study}": study, "{cohort_id}": cohort}
    taken = []
    for path, methods in get(client, "/v1/openapi.json")["paths"].items():
        # This server keeps no audit, which it says first.
        for method in methods if path != "/v1/audit" else ():
            address = re.sub(r"\{\w+\}", lambda m: known[m[0]], path)
            answer = client.request(method, address, params={"surprise": 1}, json={})
            if answer.status_code != 422 or "surprise" not in answer.text:
                taken.append((method, path, answer.status_code))
    assert taken == []
    assert client.get("/v1/openapi.json?surprise=1").status_code == 422


def test_an_unknown_finding_has_no_map(client: TestClient, image: str) -> None:
    answer = client.get(f"/v1/images/{image}/heatmap", params={"label": "flu"})
    assert answer.status_code == 404
    assert "knows no finding" in answer.json()["detail"]


def test_hostile_files_get_an_answer_and_the_server_lives(
    client: TestClient, tmp_path: Path
) -> None:
    write_hostile_files(tmp_path, seed=3)
    # One of each kind.
    for path in sorted(tmp_path.glob("*-0.bin")):
        answer = client.post("/v1/similar", content=path.read_bytes()[: 8 << 20])
        assert answer.status_code in (200, 422), (path.name, answer.text)
    assert get(client, "/v1/healthz") == {"status": "ok"}


def test_too_large_an_upload(client: TestClient) -> None:
    answer = client.post("/v1/similar", content=b"\0" * (9 << 20))
    assert answer.status_code == 413
    assert answer.headers["content-type"] == PROBLEM

    def chunks() -> Any:
        for _ in range(20):
            yield b"\0" * (1 << 20)

    assert client.post("/v1/similar", content=chunks()).status_code == 413


def test_a_person_gets_a_page_for_what_is_refused_before_it_is_read(client: TestClient) -> None:
    film = {"film": ("film.dcm", b"\0" * (9 << 20), "application/dicom")}
    for answer, status, told in (
        (client.post("/queries", files=film), 413, "8 MiB at most"),
        (client.post("/theme", headers={"origin": "http://other.example"}), 403, "another site"),
        (client.get("/", headers={"host": "other.example"}), 400, "not called other.example"),
    ):
        assert answer.status_code == status
        assert answer.headers["content-type"].startswith("text/html")
        assert told in answer.text
        assert answer.headers["content-security-policy"] == POLICY


def test_metrics_do_not_grow_with_methods_that_are_made_up(client: TestClient) -> None:
    for number in range(5):
        client.request(f"MADEUP{number}", "/v1/healthz")
    text = client.get("/v1/metrics").text
    assert "MADEUP" not in text
    assert 'method="other"' in text


def counted(client: TestClient, what: str) -> int:
    """How many requests the metrics have with these labels."""
    text = client.get("/v1/metrics").text
    found = re.search(rf"^cxrdex_requests_total{{{re.escape(what)}}} (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else 0


def test_metrics_count_what_is_refused_before_a_route(client: TestClient) -> None:
    other = {"host": "other.example"}, {"origin": "http://other.example"}
    for method, address, headers, content, status in (
        ("GET", "/", other[0], b"", 400),
        ("POST", "/theme", other[1], b"", 403),
        ("POST", "/v1/similar", {}, b"\0" * (9 << 20), 413),
    ):
        what = f'route="other",method="{method}",status="{status}"'
        before = counted(client, what)
        client.request(method, address, headers=headers, content=content)
        assert counted(client, what) == before + 1, what


def test_metrics_count_whom_the_door_refuses(web_service: SearchService, tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    Users(path).add("ada", "reader", "correct horse battery")
    app = create_app(web_service, WebSettings(sign_in=SignInSettings(users=path), request_rate=2))
    client = TestClient(app, base_url="http://127.0.0.1:8000")
    statuses = [client.get("/v1/status").status_code for _ in range(3)]
    assert statuses == [401, 401, 429]
    assert 'cxrdex_requests_total{route="other",method="GET",status="401"} 2' in app.text({})
    assert 'cxrdex_requests_total{route="other",method="GET",status="429"} 1' in app.text({})


def test_metrics_count_head_by_its_route(client: TestClient) -> None:
    what = 'route="/v1/healthz",method="HEAD",status="200"'
    before = counted(client, what)
    client.head("/v1/healthz")
    assert counted(client, what) == before + 1


def test_metrics_have_routes_and_no_ids(client: TestClient, image: str) -> None:
    get(client, f"/v1/images/{image}")
    text = client.get("/v1/metrics").text
    assert 'route="/v1/images/{image_id}",method="GET",status="200"' in text
    assert image not in text
    assert "cxrdex_database_indexed" in text


def test_metrics_name_every_route_by_its_whole_address(client: TestClient) -> None:
    paths = get(client, "/v1/openapi.json")["paths"]
    for path, methods in paths.items():
        for method in methods:
            client.request(method, re.sub(r"\{\w+\}", "0" * 16, path))
    text = client.get("/v1/metrics").text
    assert [path for path in paths if f'{{route="{path}",' not in text] == []


def test_head_is_answered_as_get_without_a_body(client: TestClient, image: str) -> None:
    for address in ("/", "/search?q=effusion", f"/v1/images/{image}/thumbnail", "/static/app.js"):
        asked, whole = client.head(address), client.get(address)
        assert (asked.status_code, asked.content) == (200, b""), address
        for name in ("content-type", "content-length", "content-security-policy"):
            assert asked.headers[name] == whole.headers[name], address
    assert client.head("/v1/search?q=%28").status_code == 400
    assert client.head("/v1/similar").status_code == 405


def test_a_table_without_room_for_vectors_names_no_file_of_the_server(client: TestClient) -> None:
    answer = client.get("/v1/export", params={"embeddings": True, "format": "csv"})
    assert answer.status_code == 400
    assert "Parquet" in answer.json()["detail"]
    assert "/" not in answer.json()["detail"]


def test_vectors_are_exported_in_the_order_of_the_table(client: TestClient) -> None:
    asked = {"q": "cardiomegaly", "format": "npy"}
    vectors = np.load(io.BytesIO(client.get("/v1/export", params=asked).content))
    inside: dict[str, Any] = {**asked, "format": "parquet", "embeddings": True}
    table = pyarrow.parquet.read_table(
        io.BytesIO(client.get("/v1/export", params=inside).content)
    ).to_pylist()
    assert len(vectors) == len(table) > 0
    for vector, row in zip(vectors, table, strict=True):
        assert np.array_equal(vector, np.asarray(row["embedding"], np.float16))
    wrong = client.get("/v1/export", params={**asked, "column": "id"})
    assert (wrong.status_code, wrong.headers["content-type"]) == (400, PROBLEM)


def test_the_like_of_a_film_has_pages_by_token(client: TestClient, image: str) -> None:
    address = f"/v1/images/{image}/similar"
    whole = [hit["id"] for hit in get(client, address, limit=200)["hits"]]
    found, after = [], None
    while True:
        page = get(client, address, limit=5, **({"after": after} if after else {}))
        found += [hit["id"] for hit in page["hits"]]
        after = page["after"]
        if after is None:
            break
    assert found == whole
    assert len(whole) > 10
    assert client.get(address, params={"after": "AAAA"}).status_code == 400


def test_every_answer_is_described(client: TestClient) -> None:
    described = get(client, "/v1/openapi.json")
    assert described["openapi"].startswith("3.1")
    # What is made is 201, what is deleted 204; all else that goes well is 200.
    well = {"POST /v1/cohorts": "201", "DELETE /v1/cohorts/{cohort_id}": "204"}
    for path, methods in described["paths"].items():
        assert path.startswith("/v1/")
        for method, one in methods.items():
            wanted = well.get(f"{method.upper()} {path}", "200")
            assert {wanted, "400", "404"} <= set(one["responses"])
