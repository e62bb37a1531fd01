"""Questions of the help page, each answered with films within three clicks from the first page."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.search.web.browser.conftest import Opening


def test_ten_questions_are_answered_with_films(opened: Opening) -> None:
    page = opened("/", "reader")
    page.get_by_role("link", name="Help").click()
    texts = page.locator(".questions a").all_inner_texts()
    assert len(texts) >= 10
    for text in texts:
        page.goto("/")
        page.get_by_role("link", name="Help").click()
        page.get_by_role("link", name=text, exact=True).click()
        # The third click, where a film is wanted in full.
        if "/search" in page.url:
            thumbnail = page.locator(".card img").first
            expect(thumbnail).to_be_visible()
            assert thumbnail.evaluate("one => one.decode().then(() => one.naturalWidth)") > 50, text
            page.locator(".card .thumb:has(img)").first.click()
        expect(page).to_have_url(re.compile("/images/|/compare"))
        expect(page.locator(".viewer canvas").first).to_be_visible()
