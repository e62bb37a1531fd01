"""Every page in both colours and on a phone: nothing that axe calls serious, nothing too wide."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from search.web.people.person import Role
from search.web.rendering.responses import THEME
from tests.search.web.browser.conftest import PHONE, Opening
from tests.search.web.site import Site

# Pages that a person of another role sees otherwise than an administrator does.
_OF_READERS = ("overview", "answer", "image", "cohort")


@pytest.fixture(scope="module")
def pages(site: Site) -> dict[str, str]:
    """An address of each kind of page, by name."""
    with site.person("administrator") as ask:
        hits = ask.get("/v1/search", params={"q": "effusion", "limit": 4}).json()["hits"]
        ids = [hit["id"] for hit in hits]
        made = ask.post("/v1/cohorts", json={"name": "Shown", "images": ids}).json()
        film = {"film": ("film.dcm", site.film.read_bytes())}
        asked = ask.post("/queries", files=film)
    return {
        "overview": "/",
        "answer": "/search?q=effusion&choose=view%3Dfrontal",
        "by meaning": "/search?q=fluid&mode=hybrid",
        "near words": "/search?q=cardiomegalli",
        "not understood": "/search?q=disease%3A%28",
        "film": asked.headers["location"],
        "image": f"/images/{ids[0]}",
        "compared": f"/compare?ids={','.join(ids)}",
        "cohorts": "/cohorts",
        "cohort": f"/cohorts/{made['id']}?added=2&asked=4",
        "findings to judge": "/review",
        "judging": "/review?label=pleural+effusion",
        "failures": "/failures",
        "help": "/help",
        "api": "/api",
        "audit": "/audit",
        "not there": "/images/0000000000000000",
    }


def serious(page: Page) -> list[str]:
    """What axe finds serious or worse, each with the first place where."""
    found = Axe().run(page).response["violations"]
    return [
        f"{page.url}: {one['id']}: {one['nodes'][0]['html'][:200]} {_said(one['nodes'][0])}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def _said(node: dict[str, Any]) -> str:
    return "; ".join(check["message"] for check in [*node["any"], *node["all"], *node["none"]])


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing_serious(
    opened: Opening, site: Site, pages: dict[str, str], theme: str
) -> None:
    wrong: list[str] = []
    walks: list[tuple[Role | None, dict[str, str]]] = [
        ("administrator", pages),
        ("reader", {name: pages[name] for name in _OF_READERS}),
        (None, {"sign in": "/sign-in"}),
    ]
    for role, shown in walks:
        page = opened("/sign-in", role)
        page.context.add_cookies([{"name": THEME, "value": theme, "url": site.address}])
        for address in shown.values():
            page.goto(address)
            if page.locator(".viewer").count():
                expect(page.locator(".viewer canvas").first).to_be_visible()
            assert page.locator("html").get_attribute("data-theme") == theme
            wrong += serious(page)
    assert wrong == []


def test_pages_are_dark_until_light_is_chosen(opened: Opening) -> None:
    # The browser of a light desktop, which asks for light pages.
    page = opened("/")
    assert page.evaluate("matchMedia('(prefers-color-scheme: light)').matches")
    expect(page.locator("html")).to_have_css("color-scheme", "dark")
    page.get_by_role("button", name="Light").click()
    expect(page.locator("html")).to_have_css("color-scheme", "light")
    expect(page.get_by_role("button", name="Dark")).to_be_visible()


def test_no_page_is_wider_than_a_phone(opened: Opening, pages: dict[str, str]) -> None:
    page = opened("/sign-in", "administrator", size=PHONE)
    wide = {}
    for name, address in pages.items():
        page.goto(address)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > PHONE[0]:
            wide[name] = width
    assert wide == {}


def test_tables_are_read_on_a_phone_without_scrolling_aside(
    opened: Opening, pages: dict[str, str]
) -> None:
    page = opened("/sign-in", "administrator", size=PHONE)
    for name in ("api", "help", "audit", "cohorts"):
        page.goto(pages[name])
        place = page.locator(".scroll").first
        wide, seen = place.evaluate("one => [one.scrollWidth, one.clientWidth]")
        assert wide <= seen, name
