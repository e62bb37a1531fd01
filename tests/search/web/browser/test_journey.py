"""What a person does from a film to a cohort and a corrected label."""

from __future__ import annotations

import base64
import csv
import re
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.search.web.browser.conftest import Opening
from tests.search.web.site import Site

_DROP = """([name, content]) => {
  const bag = new DataTransfer();
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  bag.items.add(new File([bytes], name));
  for (const kind of ["dragover", "drop"]) {
    document.body.dispatchEvent(
      new DragEvent(kind, { dataTransfer: bag, bubbles: true, cancelable: true }));
  }
}"""


def drop(page: Page, film: Path) -> None:
    """Let a file fall onto the page, and wait for its answer."""
    content = base64.b64encode(film.read_bytes()).decode()
    with page.expect_navigation(url=re.compile("/queries/")):
        page.evaluate(_DROP, ["DOE^JOHN.dcm", content])
    expect(page.get_by_role("heading", level=1)).to_have_text("The like of your film")


def cards(page: Page) -> list[str]:
    """Ids of the images that the page shows."""
    found = page.locator(".card").evaluate_all("all => all.map((one) => one.dataset.id)")
    return [str(one) for one in found]


def until(holds: Callable[[], bool], page: Page) -> None:
    """Load a page anew until something holds on it, which a correction takes five seconds for."""
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end, page.url
        page.reload()


def test_a_dropped_film_finds_its_like_which_are_filtered_and_opened(
    opened: Opening, site: Site
) -> None:
    page = opened("/", "reader")
    drop(page, site.film)
    alike = cards(page)
    assert len(alike) > 5
    expect(page.locator(".card").first).to_contain_text("likeness 1.00")
    expect(page.locator("body")).not_to_contain_text("DOE")

    page.locator("#choices").get_by_role("link", name=re.compile("^male|^m ", re.I)).first.click()
    expect(page).to_have_url(re.compile("choose=sex"))
    narrowed = cards(page)
    assert 0 < len(narrowed) < len(alike)
    page.reload()
    assert cards(page) == narrowed
    page.go_back()
    assert cards(page) == alike
    page.go_forward()
    assert cards(page) == narrowed

    page.locator(".card h3 a").first.click()
    expect(page).to_have_url(re.compile(f"/images/{narrowed[0]}"))
    expect(page.locator(".viewer canvas")).to_be_visible()
    page.go_back()
    assert cards(page) == narrowed


def test_words_that_are_dragged_fall_into_the_field_that_they_are_for(opened: Opening) -> None:
    page = opened("/help", "reader")
    heading = page.get_by_role("heading", level=1)
    heading.click(click_count=3)
    heading.drag_to(page.locator("#q"), source_position={"x": 8, "y": 12})
    expect(page.locator("#q")).to_have_value(re.compile("^Asking"))


def test_words_are_searched_by_keys_and_suggested_while_typed(opened: Opening) -> None:
    page = opened("/help", "reader")
    page.keyboard.press("/")
    page.keyboard.type("pleural eff")
    expect(page.locator("#titles option").first).to_have_attribute("value", "pleural effusion")
    page.keyboard.type("usion")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/search\?q=pleural\+effusion"))
    found = cards(page)
    assert len(found) > 1
    page.keyboard.press("Escape")
    page.locator("main").focus()
    for key in ("j", "j", "x"):
        page.keyboard.press(key)
    expect(page.locator("[data-marked]")).to_have_text("1 marked")
    expect(page.locator(".card.chosen")).to_have_attribute("data-id", found[1])
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/images/{found[1]}"))
    # The address changes before the page's scripts are there.
    page.wait_for_load_state()
    page.keyboard.press("?")
    expect(page).to_have_url(re.compile("/help#keys"))


def test_marks_are_there_again_after_going_back(opened: Opening) -> None:
    page = opened("/search", "reader")
    marks = page.locator("input[name=ids][type=checkbox]")
    marks.nth(0).check()
    marks.nth(2).click(modifiers=["Shift"])
    expect(page.locator("[data-marked]")).to_have_text("3 marked")
    page.locator(".card h3 a").first.click()
    expect(page).to_have_url(re.compile("/images/"))
    page.go_back()
    expect(page.locator("[data-marked]")).to_have_text("3 marked")
    expect(page.locator(".card.chosen")).to_have_count(3)


def test_a_cohort_is_collected_and_exported(opened: Opening) -> None:
    page = opened("/search?q=view:frontal", "reader")
    found = cards(page)
    marks = page.locator("input[name=ids][type=checkbox]")
    for place in (0, 1):
        marks.nth(place).check()
    wanted = {
        image
        for place in (0, 1)
        for image in (marks.nth(place).get_attribute("value") or "").split(",")
    }
    page.get_by_label("Name of the new cohort").fill("=Two of them")
    page.get_by_role("button", name="Add marked").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("=Two of them")
    expect(page.get_by_role("status").first).to_contain_text(f"{len(wanted)} images added")
    address = page.url.partition("?")[0]
    with page.expect_download() as waiting:
        page.get_by_role("link", name="csv").click()
    with Path(waiting.value.path()).open(newline="") as file:
        rows = [*csv.DictReader(file)]
    assert {row["id"] for row in rows} == wanted
    assert waiting.value.suggested_filename == "Two-of-them.csv"

    page.get_by_role("link", name="Back to what you found").click()
    expect(page.locator(".card")).to_have_count(len(found))
    assert cards(page) == found
    page.get_by_label("Cohort", exact=True).select_option(label=f"=Two of them ({len(wanted)})")
    marks.nth(2).check()
    page.get_by_role("button", name="Add marked").click()
    expect(page).to_have_url(re.compile(re.escape(address)))
    assert len(cards(page)) > len(wanted)
    page.get_by_role("link", name="Search within").click()
    expect(page.locator(".taken")).to_contain_text("in the cohort")


def test_a_corrected_label_is_found(opened: Opening, site: Site) -> None:
    page = opened("/review", "reviewer")
    page.locator(".choices a").first.click()
    film = (page.locator(".verdict a[href^='/images/']").get_attribute("href") or "").split("/")[-1]
    before = site.asked("reader", "/v1/search", q="pneumoperitoneum")["total"]
    page.keyboard.press("c")
    page.locator("#finding").fill("pneumoperitoneum")
    page.get_by_role("button", name=re.compile("^Correct|^Keep")).click()
    expect(page.locator(".verdict a[href^='/images/']")).not_to_have_attribute(
        "href", f"/images/{film}"
    )
    reader = opened("/search?q=pneumoperitoneum", "reader")
    until(lambda: film in cards(reader), reader)
    assert site.asked("reader", "/v1/search", q="pneumoperitoneum")["total"] == before + 1
    expect(reader.locator(f".card[data-id='{film}']")).to_contain_text("human")
    reader.locator(f".card[data-id='{film}'] h3 a").click()
    expect(reader.locator("#findings + .findings, .judged")).to_contain_text("pneumoperitoneum")


def test_a_rejected_finding_is_found_no_more_even_by_the_words_of_the_report(
    opened: Opening, site: Site
) -> None:
    hit = site.asked("reader", "/v1/search", q='report:"pleural effusion"')["hits"][0]
    page = opened(f"/images/{hit['id']}", "reviewer")
    page.get_by_role("button", name="Reject pleural effusion").click()
    expect(page.locator(".denied", has_text="pleural effusion")).to_be_visible()
    plain = opened("/search?q=%22pleural+effusion%22", "reader")
    study = plain.get_by_role("link", name=hit["study"])
    until(lambda: not study.count(), plain)
    for field in ("absent", "report"):
        plain.goto(f"/search?q={field}%3A%22pleural+effusion%22")
        expect(study).to_be_visible()
