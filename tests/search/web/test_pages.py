"""The pages, as a browser without scripts sees them."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from starlette.testclient import TestClient

from cli.main import cxrdex
from indexer.errors import DatabaseError
from search.language.fields import FIELDS
from search.pictures.explain import source_bytes
from search.request import ImageId
from search.results import Hit
from search.service import SearchService
from search.web.guard import POLICY
from search.web.rendering import cards
from search.web.rendering.cards import Card


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
    shown = page(client, "/")
    assert f"{total} images of" in shown.text
    assert "bundle is well" in shown.text
    maps = [link for link in shown.links if link.startswith("/search?q=finding")]
    assert len(maps) > 50
    for link in maps[:2]:
        assert "Not understood" not in page(client, link).text
    (source,) = (link for link in shown.links if "source=" in link)
    assert f"{total} images" in page(client, source).text
    assert client.get("/search?source=99").status_code == 404


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


def test_several_choices_in_one_facet_stay(client: TestClient) -> None:
    address = "/search?q=effusion&choose=sex%3Df&choose=sex%3Dm"
    answer = client.get(address).text
    assert answer.count('aria-current="true"') == 2
    total = client.get("/v1/search", params={"q": "effusion", "limit": 0}).json()["total"]
    both = client.get(
        "/v1/search", params={"q": "effusion", "limit": 0, "choose": ["sex=f", "sex=m"]}
    ).json()["total"]
    assert 0 < both <= total
    assert f"{both} images" in page(client, address).text
    # A value that nothing has can be taken back, too.
    none = client.get("/search?q=effusion&choose=disease%3Dstents").text
    assert "without Finding: stents" in none


def test_a_card_says_why_it_is_there(client: TestClient) -> None:
    assert "report says" in page(client, "/search?q=%22pleural+effusion%22").text
    by_meaning = page(client, "/search?q=fluid+around+the+lung&mode=semantic").text
    assert "means nearly the same" in by_meaning


def test_pages_follow_by_meaning_too(client: TestClient) -> None:
    address = "/search?q=fluid+around+the+lung&mode=hybrid&limit=4"
    seen: set[str] = set()
    for _ in range(3):
        shown = page(client, address)
        ids = {link for link in shown.links if link.startswith("/images/")}
        assert not ids & seen
        seen |= ids
        address = next(link for link in shown.links if "after=" in link)


def test_misspelt_words_get_near_ones(client: TestClient) -> None:
    for mode in ("words", "hybrid"):
        found = page(client, f"/search?q=cardiomegalli&mode={mode}")
        assert "Did you mean" in found.text
        assert any("q=cardiomegaly" in link for link in found.links)
    nothing = page(client, "/search?q=cardiomegalli&choose=view%3Dlateral")
    assert "No image matches" in nothing.text
    assert any("mode=hybrid" in link for link in nothing.links)


def test_words_a_film_or_both(client: TestClient, image: str, web_service: SearchService) -> None:
    def lead(**sent: Any) -> str:
        answer = client.post("/queries", follow_redirects=False, **sent)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    assert lead(data={"q": "a & b", "mode": "hybrid"}) == "/search?q=a+%26+b&mode=hybrid"
    assert lead(data={}) == "/search"
    content, _ = source_bytes(web_service.show(ImageId(image)).record, 1 << 30)
    files = {"film": ("film.dcm", content, "application/dicom")}
    to = lead(data={"q": "effusion"}, files=files)
    assert to.endswith("?q=effusion")
    images = {link for link in page(client, to).links if link.startswith("/images/")}
    wanted = client.get("/v1/search", params={"q": "effusion", "limit": 200}).json()
    studies = {hit["study"] for hit in wanted["hits"]}
    assert images
    for link in images:
        assert client.get(f"/v1{link}").json()["study"] in studies
    token = to.partition("?")[0]
    assert "Nothing is as like" in page(client, f"{token}?least=1&choose=sex%3Do").text
    assert "Not understood" not in page(client, f"{token}?q=disease%3A%28").text
    assert "column" in page(client, f"{token}?q=disease%3A%28").text


def test_completions(client: TestClient) -> None:
    answer = client.get("/v1/suggest", params={"q": "large pleural eff"}).json()
    (one,) = answer["completions"]
    assert one["query"] == "large pleural effusion"
    total = client.get("/v1/search", params={"filter": "disease:pleural effusion"}).json()["total"]
    assert one["count"] == total
    for text in ("", "x", "disease:(", "qqqq"):
        found = client.get("/v1/suggest", params={"q": text})
        assert found.status_code in (200, 400)
        assert found.json().get("completions", []) == []


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
    assert "<h1>This cannot be used</h1>" in wrong.text


def test_what_is_hardly_a_chest_film_is_said_to_be_none(client: TestClient) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 280), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    found = client.post("/queries", files={"film": ("a.png", file.getvalue(), "image/png")})
    assert "Hardly a chest film." in found.text


def test_pages_say_what_commands_say_against_a_reading(
    client: TestClient,
    image: str,
    web_service: SearchService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with web_service.snapshot() as snapshot:
        [document] = snapshot.database.documents([image])
    document |= {"unusual": 0.9, "notes": ["looks_inverted"]}
    said = Card(Hit(image, 1.0, document, in_sample=True), (), 0, ()).remarks
    assert said == ["hardly a chest film", "looks inverted", "the bundle was trained on it"]
    monkeypatch.setattr(cards, "is_unusual", lambda reading: True)
    for address in (f"/images/{image}", f"/search?q=id:{image}"):
        assert "Hardly a chest film." in client.get(address).text, address


def test_a_film_is_in_memory_alone_while_it_is_received(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[object] = []
    monkeypatch.setattr(SpooledTemporaryFile, "rollover", written.append)
    files = {"film": ("film.dcm", b"\0" * (7 << 20), "application/dicom")}
    assert client.post("/queries", files=files, follow_redirects=False).status_code == 303
    assert written == []


def test_a_case_has_its_parts(client: TestClient, image: str) -> None:
    shown = client.get(f"/v1/images/{image}").json()
    found = page(client, f"/images/{image}")
    for finding, chance in shown["probabilities"].items():
        assert f"{finding} {chance:.3f}" in found.text
    assert "Similar studies" in found.text
    assert f"https://v.example/{shown['study']}" in found.links
    assert f"/v1/images/{image}/pixels?size=1024&stored=true" in found.links


def test_a_report_is_read_in_its_own_order(client: TestClient) -> None:
    for hit in client.get("/v1/search", params={"q": "effusion", "limit": 20}).json()["hits"]:
        told = client.get(f"/v1/images/{hit['id']}").json()["report"] or {}
        if len(told) == 4:
            break
    shown = client.get(f"/images/{hit['id']}").text
    sections = ("indication", "comparison", "findings", "impression")
    places = [shown.index(f"<h3>{section}</h3>") for section in sections]
    assert places == sorted(places)


def test_two_images_side_by_side(client: TestClient) -> None:
    hits = client.get("/v1/search", params={"limit": 2}).json()["hits"]
    ids = [hit["id"] for hit in hits]
    found = page(client, f"/compare?ids={','.join(ids)}")
    assert [one for one in ids if one in found.text] == ids
    assert "two to four" in page(client, f"/compare?ids={ids[0]}", 400).text


def test_the_help_page_names_every_field(client: TestClient) -> None:
    shown = client.get("/help").text
    assert [name for name in FIELDS if f"<code>{name}:</code>" not in shown] == []
    assert "/help#fields" in page(client, "/search?q=disease%3A%28").links


def test_the_page_of_the_api_names_parameters(client: TestClient) -> None:
    shown = client.get("/api").text
    assert "<code>least</code>" in shown
    assert "`" not in shown


def test_what_is_understood_is_said_where_it_is_not_what_was_asked(client: TestClient) -> None:
    assert "Understood as" not in page(client, "/search?q=effusion").text
    assert "Understood as" in page(client, "/search?q=women+with+effusion").text


@pytest.mark.parametrize("words", ["women with effusion", "left effusion", "mass on the right"])
def test_words_are_taken_literally_by_the_link(
    client: TestClient, web_database: Path, words: str
) -> None:
    def total(shown: _Page) -> int:
        found = re.search(r"([\d,]+) images", shown.text)
        assert found
        return int(found[1].replace(",", ""))

    def asked(*options: str) -> Any:
        line = ["search", words, *options, "--format", "json", "--database", str(web_database)]
        answer = CliRunner().invoke(cxrdex, line)
        assert answer.exit_code == 0, answer.output
        return json.loads(answer.stdout)

    understood = page(client, "/search?" + urlencode({"q": words}))
    assert f"Understood as {asked()['understood']['query']}" in understood.text
    assert total(understood) == asked()["total"]
    (link,) = (link for link in understood.links if "literal=true" in link and "q=" in link)
    literal = page(client, link)
    assert "Understood as" not in literal.text
    assert total(literal) == asked("--literal")["total"]
    assert total(literal) != total(understood)
    assert total(literal) or words == "women with effusion", "no report has all three words"


def test_letters_of_the_index_are_words_on_pages(client: TestClient) -> None:
    assert "Sex: female" in page(client, "/search?q=effusion&choose=sex%3Df").text
    shown = page(client, "/search").text
    assert re.search(r"\bfemale · \d+ years", shown)
    assert re.search(r"\bmale · \d+ years", shown)
    assert not re.search(r"\b[FM] · ", shown)
    for image in re.findall(r'href="(/images/\w+)"', client.get("/search?q=sex:m").text)[:1]:
        assert " male · " in page(client, image).text


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


def test_the_name_of_a_field_is_no_word_to_be_mended(client: TestClient) -> None:
    page = client.get("/search", params={"q": 'absent:"pleural effusion" NOT view:lateral'}).text
    assert "Did you mean" not in page


def test_what_is_wrong_with_the_server_is_told_to_its_log_alone(
    client: TestClient,
    web_service: SearchService,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    root = str(web_service.layout.root)
    answer = client.get("/v1/images/" + "0" * 16)
    assert answer.status_code == 404
    assert root not in answer.text

    def damaged(*_: object) -> None:
        raise DatabaseError(f"{root}/vectors/index.faiss is damaged")

    monkeypatch.setattr(SearchService, "search", damaged)
    # What was asked before may be kept.
    for address in ("/v1/search?q=unasked", "/search?q=unasked"):
        answer = client.get(address)
        assert answer.status_code == 500
        assert "log says more" in answer.text
        assert root not in answer.text
        assert f"{root}/vectors" in caplog.text
        caplog.clear()
