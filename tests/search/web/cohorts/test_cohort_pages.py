"""Cohorts in a browser without scripts: forms that are posted, and where they lead."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from tests.search.web.test_pages import page


def post(client: TestClient, address: str, **fields: Any) -> str:
    """Where a form leads."""
    answer = client.post(address, data=fields, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def refused(client: TestClient, address: str, status: int, **fields: Any) -> str:
    """What is said of a form that is wrong."""
    answer = client.post(address, data=fields, follow_redirects=False)
    assert answer.status_code == status, answer.text
    return answer.text


@pytest.fixture(scope="module")
def rows(client: TestClient) -> list[str]:
    """What the marks of a page of answers stand for."""
    hits = client.get("/v1/search", params={"q": "effusion", "group": "study"}).json()["hits"]
    return [",".join(hit["images"]) for hit in hits]


def test_marked_hits_make_a_cohort_and_join_another(client: TestClient, rows: list[str]) -> None:
    back = "/search?q=effusion"
    to = post(client, "/collect", action="marked", ids=rows[:2], name="Two", back=back)
    query = parse_qs(urlsplit(to).query)
    count = len({image for row in rows[:2] for image in row.split(",")})
    assert query["added"] == [str(count)]
    found = page(client, to)
    assert f"{count} images added" in found.text
    assert back in found.links
    cohort = urlsplit(to).path.rpartition("/")[2]
    again = post(client, "/collect", action="marked", ids=rows[1:3], cohort=cohort, back=back)
    assert urlsplit(again).path == f"/cohorts/{cohort}"
    images = client.get(f"/v1/cohorts/{cohort}").json()["images"]
    assert images == list(dict.fromkeys(",".join(rows[:3]).split(",")))
    assert f"cohort={cohort}" in "".join(found.links)


def test_all_of_an_answer(client: TestClient) -> None:
    back = "/search?q=effusion&choose=view%3Dfrontal&choose=view%3Dlateral&filter=sex%3AF,M"
    wanted = {"q": "effusion", "choose": ["view=frontal", "view=lateral"], "filter": "sex:F,M"}
    total = client.get("/v1/search", params={**wanted, "limit": 0}).json()["total"]
    to = post(client, "/collect", action="all", name="All", back=back)
    assert parse_qs(urlsplit(to).query)["added"] == [str(total)]
    for wrong in ("/", "//evil.example/search", "/search?q=disease%3A(", "/search?limit=x"):
        refused(client, "/collect", 400, action="all", name="All", back=wrong)


def test_marked_hits_stand_side_by_side(client: TestClient, rows: list[str]) -> None:
    firsts = [row.partition(",")[0] for row in rows]
    assert post(client, "/collect", action="compare", ids=rows[:3]) == (
        f"/compare?ids={','.join(firsts[:3])}"
    )
    assert "two to four" in refused(client, "/collect", 400, action="compare", ids=rows[:1])


def test_a_cohort_is_changed_by_its_forms(client: TestClient, rows: list[str]) -> None:
    made = post(client, "/cohorts", name="Plain <b>", note="first")
    assert "It is empty" in page(client, made).text
    cohort = made.rpartition("/")[2]
    post(client, "/collect", action="marked", ids=rows[:2], cohort=cohort)
    tag = client.get(f"/v1/cohorts/{cohort}").headers["etag"].strip('"')
    post(client, f"{made}/edit", name="Other", note="second", version=tag)
    assert "changed meanwhile" in refused(client, f"{made}/edit", 412, name="x", version=tag)
    shown = client.get(f"/v1/cohorts/{cohort}").json()
    assert (shown["name"], shown["note"]) == ("Other", "second")
    first = shown["images"][0]
    assert post(client, f"{made}/remove", ids=[first]).endswith("removed=1")
    assert first not in client.get(f"/v1/cohorts/{cohort}").json()["images"]
    assert "no image is marked" in refused(client, f"{made}/remove", 400)
    tag = client.get(f"/v1/cohorts/{cohort}").headers["etag"].strip('"')
    assert post(client, f"{made}/delete", version=tag) == "/cohorts"
    assert "no cohort" in page(client, made, 404).text


def test_two_are_combined_also_by_a_link(client: TestClient, rows: list[str]) -> None:
    first = post(client, "/collect", action="marked", ids=rows[:2], name="One")
    second = post(client, "/collect", action="marked", ids=rows[1:3], name="Other")
    one, other = (urlsplit(to).path for to in (first, second))
    to = post(
        client,
        "/cohorts/combine",
        first=one.rpartition("/")[2],
        second=f"http://127.0.0.1:8000{other}",
        how="difference",
    )
    assert "One (difference) Other" in page(client, to).text
    images = client.get(f"/v1/cohorts/{to.rpartition('/')[2]}").json()["images"]
    assert images == [i for i in rows[0].split(",") if i not in rows[1].split(",")]
    assert to in page(client, "/cohorts").links


def test_names_are_shown_as_they_are(client: TestClient) -> None:
    made = post(client, "/cohorts", name="<script>alert(1)</script>", note="<img onerror=x>")
    found = page(client, made)
    assert "<script>alert(1)</script>" in found.text
