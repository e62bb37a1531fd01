"""Every route of the whole server, asked by nobody and by each role; who sees reports."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from search.service import SearchService
from search.web.app import create_app
from search.web.audit.writing import Audit
from search.web.people.access import RouteAccess, route_access
from search.web.people.door import OPEN
from search.web.people.person import ROLES, Person
from search.web.people.settings import OpenIdSettings, SignInSettings
from search.web.people.users import Users
from search.web.settings import WebSettings

HOST = "films.example"
REPORT_FIELDS = ("report", "findings", "impression", "indication", "comparison")


class Site:
    """A server with a sign-in, and a browser with a token for each role."""

    def __init__(self, service: SearchService, folder: Path, audit: Audit) -> None:
        users = Users(folder / "users.json")
        self.tokens: dict[str, dict[str, str]] = {}
        for role in ROLES:
            users.add(role, role, None)
            self.tokens[role] = {"authorization": f"Bearer {users.add_token(role)}"}
        openid = OpenIdSettings(issuer="https://127.0.0.1:9", client="c", secret="s")
        settings = WebSettings(
            host="0.0.0.0",
            names=(HOST,),
            sign_in=SignInSettings(users=folder / "users.json", openid=openid),
            reports="reviewer",
            request_rate=0,
            upload_rate=0,
        )
        self.app = create_app(service, settings, audit)
        self.client = TestClient(self.app, f"https://{HOST}", False, follow_redirects=False)

    def routes(self) -> list[RouteAccess]:
        app: Any = self.app
        while not hasattr(app, "routes"):
            app = app._app
        return [*route_access(app.routes)]

    def get(self, role: str, address: str, **query: Any) -> Any:
        return self.client.get(address, params=query, headers=self.tokens[role])


@pytest.fixture(scope="module")
def site(web_service: SearchService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("people")
    with Audit(folder / "audit.sqlite") as audit:
        site = Site(web_service, folder, audit)
        with site.client:
            yield site


def filled(path: str) -> str:
    """A route's path with ids that nothing has."""
    return re.sub(r"\{(\w+)[^}]*\}", lambda m: "0" * (12 if "study" in m[1] else 16), path)


def test_every_route_declares_whom_it_is_for(site: Site) -> None:
    routes = site.routes()
    assert len(routes) > 30
    assert [one.path for one in routes if one.role is None] == []
    open_to_all = {one.path for one in routes if one.role == "anyone"}
    assert open_to_all == {path for path in OPEN if not path.startswith("/static/")}
    assert {one.role for one in routes if "audit" in one.path} == {"administrator"}


def test_nobody_gets_anything_but_the_sign_in_page(site: Site) -> None:
    for one in site.routes():
        if one.role == "anyone":
            continue
        for method in one.methods:
            answer = site.client.request(method, filled(one.path))
            wanted = 401 if one.path.startswith("/v1/") else 303
            assert answer.status_code == wanted, (method, one.path)
            if wanted == 303:
                assert answer.headers["location"].startswith("/sign-in")
            elif method != "HEAD":
                assert answer.headers["content-type"] == "application/problem+json"
    for path in ("/static/app.js", "/static/viewer.js", "/static/../templates/base.html"):
        assert site.client.get(path).status_code in (303, 401), path
    assert site.client.get("/static/style.css").status_code == 200


@pytest.mark.parametrize("role", ROLES)
def test_each_role_gets_what_is_for_it(site: Site, role: Any) -> None:
    for one in site.routes():
        if one.role == "anyone" or one.path == "/v1/readyz":
            continue
        assert one.role is not None
        allowed = Person(role, role).may(one.role)
        for method in one.methods:
            headers = site.tokens[role]
            answer = site.client.request(method, filled(one.path), headers=headers)
            assert (answer.status_code not in (401, 403)) == allowed, (method, one.path)
            assert answer.status_code < 500 or answer.status_code == 503, (method, one.path)


@pytest.fixture(scope="module")
def reported(site: Site, web_service: SearchService) -> tuple[str, str, dict[str, str]]:
    """An image with a report, its study, and the report."""
    with web_service.snapshot() as snapshot:
        for document in snapshot.database.documents():
            if document["report"]:
                return document["id"], document["study"], document["report"]
    raise AssertionError("the simulated archive has no report")


def test_reports_are_for_those_who_may_see_them(
    site: Site, reported: tuple[str, str, dict[str, str]]
) -> None:
    image, study, report = reported
    texts = [text.strip()[:30] for text in report.values() if len(text.strip()) > 30]
    assert texts
    places = (f"/v1/images/{image}", f"/v1/studies/{study}", f"/images/{image}")
    for place in places:
        seen, hidden = (
            # Pages mark what a report says of findings.
            html.unescape(re.sub("<[^>]*>", "", site.get(role, place).text))
            for role in ("reviewer", "reader")
        )
        assert any(text in seen for text in texts), place
        assert not any(text in hidden for text in texts), place
    assert site.get("reader", f"/v1/images/{image}").json()["report"] is None


def test_no_search_finds_out_what_a_report_says(
    site: Site, reported: tuple[str, str, dict[str, str]]
) -> None:
    image, _, report = reported
    labels = site.get("reader", f"/v1/images/{image}").text.lower()
    words = {w.lower() for text in report.values() for w in re.findall(r"[A-Za-z]{5,}", text)}
    word = next(
        word
        for word in sorted(words)
        if word not in labels
        and site.get("reviewer", "/v1/search", q=f"report:{word}").json()["total"]
    )
    for query in (word, f'"{word}"', f"{word[:5]}*", f"{word}~1", f"NOT {word}", f"a OR {word}"):
        found = site.get("reader", "/v1/search", q=query, literal=True, limit=50)
        assert found.status_code == 200, found.text
        hits = found.json()["hits"]
        assert all(hit["highlights"]["report"] == [] for hit in hits), query
        assert found.json()["suggestions"] == {}
    only = site.get("reader", "/v1/search", q=word, literal=True).json()["total"]
    every = site.get("reviewer", "/v1/search", q=f"annotation:{word}", literal=True).json()["total"]
    assert only == every
    for field in REPORT_FIELDS:
        for query in (f"{field}:{word}", f"NOT {field}:{word}", f"{field}:*"):
            found = site.get("reader", "/v1/search", q=query)
            assert found.status_code == 400, query
            assert word not in found.json()["detail"]
        filtered = site.get("reader", "/v1/facets", filter=f"{field}:{word}")
        assert filtered.status_code == 400
    both = site.get("reader", "/v1/search", q=f"report:{word}", mode="hybrid")
    assert both.status_code == 400
    assert "<mark>" not in site.get("reader", "/search", q=word).text


def test_where_files_are_is_for_administrators(
    site: Site, reported: tuple[str, str, dict[str, str]]
) -> None:
    image, _, _ = reported
    assert site.get("reviewer", f"/v1/images/{image}/sources").status_code == 403
    sources = site.get("administrator", f"/v1/images/{image}/sources").json()["sources"]
    assert sources[0]["name"]
    folder = sources[0]["archive"]
    for place in ("/", f"/images/{image}"):
        assert folder in html.unescape(site.get("administrator", place).text), place
        assert folder not in html.unescape(site.get("reviewer", place).text), place


def test_a_table_has_what_is_for_the_role(
    site: Site, reported: tuple[str, str, dict[str, str]]
) -> None:
    image, _, report = reported
    text = max(report.values(), key=len)[:30]
    for asked in ({"report": True}, {"column": "report"}):
        refused = site.get("reader", "/v1/export", **asked)
        assert (refused.status_code, "not for your role" in refused.text) == (400, True)
        told = site.get("reviewer", "/v1/export", format="jsonl", **asked)
        assert told.status_code == 200
        assert any(text in str(json.loads(line)) for line in told.text.splitlines())
    plain = site.get("reader", "/v1/export", format="jsonl").text
    assert image in plain
    assert text not in plain
    for wanted in ({"sources": True}, {"column": "sources"}):
        assert site.get("reviewer", "/v1/export", **wanted).status_code == 403
        assert site.get("administrator", "/v1/export", **wanted).status_code == 200
    row = site.get("administrator", "/v1/audit", action="export", limit=1).json()["rows"][0]
    assert (row["person"], row["route"]) == ("administrator", "/v1/export")


def test_the_audit_tells_what_was_done(site: Site) -> None:
    site.get("reviewer", "/search", q="pleural effusion")
    rows = site.get("administrator", "/v1/audit", person="reviewer", limit=1).json()
    row = rows["rows"][0]
    assert (row["action"], row["route"], row["detail"]) == (
        "search",
        "/search",
        "q=pleural effusion",
    )
    page = site.get("administrator", "/audit", limit=5).text
    assert page.count("<tr") == 6
    older = re.search(r'href="(/audit\?[^"]*before=\d+[^"]*)"', page)
    assert older is not None
    assert site.get("administrator", older[1].replace("&amp;", "&")).status_code == 200
