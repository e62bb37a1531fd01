"""The pages, as a browser without scripts sees them."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from starlette.testclient import TestClient

from search.pictures.explain import source_bytes
from search.request import ImageId
from search.service import SearchService
from search.web.guard import POLICY


class _Page(HTMLParser):
    """Addresses of a page, its words, and whatever the policy would block."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.blocked: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [values[name] or "" for name in ("href", "src") if name in values]
        self.blocked += [name for name in values if name == "style" or name.startswith("on")]
        if tag in ("style", "iframe") or (tag == "script" and "src" not in values):
            self.blocked.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page(client: TestClient, address: str, status: int = 200) -> _Page:
    answer = client.get(address)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-security-policy"] == POLICY
    parsed = _Page()
    parsed.feed(answer.text)
    assert parsed.blocked == []
    return parsed


@pytest.fixture(scope="module")
def image(client: TestClient) -> str:
    found: str = client.get("/v1/search", params={"limit": 1}).json()["hits"][0]["id"]
    return found


def test_every_link_of_every_page_leads_somewhere(client: TestClient) -> None:
    seen: set[str] = set()
    waiting = ["/"]
    while waiting and len(seen) < 150:
        address = waiting.pop(0)
        seen.add(address)
        answer = client.get(address)
        assert answer.status_code == 200, (address, answer.text)
        if "html" not in answer.headers["content-type"]:
            continue
        links = {link for link in page(client, address).links if link.startswith("/")}
        # Of each kind a few, as there is a link for each image.
        kinds = [re.sub(r"[0-9a-f]{12,16}", "ID", s.split("?")[0]) for s in [*seen, *waiting]]
        for link in sorted(links - seen - set(waiting)):
            kind = re.sub(r"[0-9a-f]{12,16}", "ID", link.split("?")[0])
            if kinds.count(kind) < 6:
                kinds.append(kind)
                waiting.append(link)
    assert {"/", "/failures", "/help", "/api", "/static/style.css"} <= seen


def test_the_overview_counts(client: TestClient) -> None:
    total = client.get("/v1/status").json()["indexed"]
    assert f"{total} images of" in page(client, "/").text


def test_a_search_marks_what_matched_and_keeps_choices(client: TestClient) -> None:
    answer = client.get("/search", params={"q": '"pleural effusion"'})
    assert "<mark>" in answer.text
    chosen = page(client, "/search?q=effusion&choose=view%3Dfrontal")
    back = [link for link in chosen.links if link.startswith("/search?") and "view" not in link]
    assert back, "the choice can be taken back"
    assert any("choose=view%3Dfrontal" in link and "sex" in link for link in chosen.links)


def test_colours_are_kept_and_lead_back(client: TestClient) -> None:
    sent = client.post(
        "/theme", data={"theme": "light", "back": "/search?q=mass"}, follow_redirects=False
    )
    assert (sent.status_code, sent.headers["location"]) == (303, "/search?q=mass")
    assert '<html lang="en" data-theme="light">' in client.get("/").text
    away = client.post(
        "/theme", data={"theme": "dark", "back": "//evil.example"}, follow_redirects=False
    )
    assert away.headers["location"] == "/"
    client.cookies.clear()
    assert "data-theme" not in client.get("/").text.split("<body>")[0]


def test_a_wrong_query_says_so_on_its_page(client: TestClient) -> None:
    found = page(client, "/search?q=disease%3A%28")
    assert "Not understood" in found.text


def test_a_film_is_answered(client: TestClient, image: str, web_service: SearchService) -> None:
    content, _ = source_bytes(web_service.show(ImageId(image)).record, 1 << 30)
    files = {"film": ("DOE^JOHN.dcm", content, "application/dicom")}
    sent = client.post("/queries", files=files, follow_redirects=False)
    assert sent.status_code == 303
    assert re.fullmatch(r"/queries/[\w-]{32}", sent.headers["location"])
    found = page(client, sent.headers["location"])
    assert "The like of your film" in found.text
    assert f"/images/{image}" in found.links
    assert "DOE" not in found.text
    assert client.get("/queries/" + "x" * 32).status_code == 404
    wrong = client.post("/queries", files={"film": ("a.txt", b"no film", "text/plain")})
    assert wrong.status_code == 422
    assert "not an image" in wrong.text.replace("_", " ")


def test_a_case_has_its_parts(client: TestClient, image: str) -> None:
    shown = client.get(f"/v1/images/{image}").json()
    found = page(client, f"/images/{image}")
    assert "Similar studies" in found.text
    assert f"https://v.example/{shown['study']}" in found.links
    assert f"/v1/images/{image}/pixels?size=1024" in found.links


def test_two_images_side_by_side(client: TestClient) -> None:
    hits = client.get("/v1/search", params={"limit": 2}).json()["hits"]
    ids = [hit["id"] for hit in hits]
    found = page(client, f"/compare?ids={','.join(ids)}")
    assert [one for one in ids if one in found.text] == ids
    assert "two to four" in page(client, f"/compare?ids={ids[0]}", 400).text


def test_examples_of_the_help_page_find_something(client: TestClient) -> None:
    links = [link for link in page(client, "/help").links if link.startswith("/search?q=")]
    assert len(links) >= 5
    for link in links:
        assert "images" in page(client, link).text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 400),
        ({"origin": "https://evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}, 422),
    ],
)
def test_other_sites_change_nothing(
    client: TestClient, headers: dict[str, str], status: int
) -> None:
    answer = client.post("/v1/similar", content=b"no film", headers=headers)
    assert answer.status_code == status
