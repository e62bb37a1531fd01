"""Search, case page and export in a browser that runs no scripts."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.search.web.browser.conftest import PHONE, WIDE, Opening
from tests.search.web.site import PASSWORD, Site


def test_words_are_searched_narrowed_and_exported(opened: Opening) -> None:
    page = opened("/", "reader", scripts=False)
    page.get_by_label("Words").fill("effusion")
    page.get_by_role("button", name="Search").click()
    expect(page).to_have_url(re.compile(r"/search\?q=effusion"))
    every = page.locator(".card").count()
    page.locator("#choices a").first.click()
    expect(page).to_have_url(re.compile("choose="))
    assert 0 < page.locator(".card").count() <= every
    page.get_by_role("button", name="Add all").click()
    expect(page.get_by_role("status").first).to_contain_text("images added")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="csv").click()
    with Path(waiting.value.path()).open(newline="") as file:
        rows = [*csv.DictReader(file)]
    assert rows
    assert all("effusion" in " ".join(row.values()) for row in rows)


def test_a_film_is_sent_and_a_case_is_read(opened: Opening, site: Site) -> None:
    page = opened("/", "reader", scripts=False, size=PHONE)
    page.get_by_label("and, or instead, a film").set_input_files(site.film)
    page.get_by_role("button", name="Search").click()
    expect(page).to_have_url(re.compile("/queries/"))
    page.locator(".card h3 a").first.click()
    film = page.locator(".viewer img")
    expect(film).to_be_visible()
    assert film.evaluate("film => film.decode().then(() => film.naturalWidth)") > 500
    expect(page.locator(".tools[data-viewer]")).to_be_hidden()
    expect(page.locator("#findings + ul li").first).to_be_visible()
    page.get_by_label("Where is", exact=True).select_option(index=1)
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("noscript p").first).to_contain_text("in this film alone")
    heat, shown = page.locator(".viewer .heat"), page.locator(".viewer img").first
    assert heat.evaluate("heat => heat.decode().then(() => heat.naturalWidth)") > 500
    boxes = heat.bounding_box(), shown.bounding_box()
    assert boxes[0] == pytest.approx(boxes[1], abs=1)
    expect(page.get_by_role("link", name="lungs")).to_be_visible()
    expect(page.get_by_role("link", name="Side by side with the first three")).to_be_visible()


def test_a_person_signs_in_judges_and_signs_out(opened: Opening, site: Site) -> None:
    page = opened("/review", None, scripts=False, size=WIDE)
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.get_by_label("Name").fill("reviewer")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{site.address}/review")
    page.locator(".choices a").nth(1).click()
    first = page.locator(".verdict a[href^='/images/']").get_attribute("href")
    page.locator("[data-judge=a]").click()
    assert page.locator(".verdict a[href^='/images/']").get_attribute("href") != first
    page.locator("[data-judge=u]").click()
    assert page.locator(".verdict a[href^='/images/']").get_attribute("href") == first
    page.get_by_role("button", name="Sign out").click()
    page.goto("/search")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
