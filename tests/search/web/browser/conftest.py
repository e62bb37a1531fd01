"""One Chromium for all tests of the folder.

Chromium is never downloaded: it is the one of the system, or of the variable CXRDEX_CHROMIUM.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from search.web.people.person import ROLES, Role
from tests.search.web.site import PASSWORD, Site

CHROMIUM = os.environ.get("CXRDEX_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
WIDE = (1280, 900)
PHONE = (390, 800)
# Two cores read films for several pages at once.
PATIENCE = 60_000

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed (apt-get install chromium, or CXRDEX_CHROMIUM=PATH)")
    with sync_playwright() as playwright:
        # Without a sandbox it runs as root too; it sees no page but those of the tests' own server.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def signed_in(chromium: Browser, site: Site) -> dict[str, Any]:
    """Cookies of a person of each role, who signed in by the form."""
    states: dict[str, Any] = {}
    for role in ROLES:
        with chromium.new_context(base_url=site.address) as context:
            page = context.new_page()
            page.goto("/help")
            page.get_by_label("Name").fill(role)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            expect(page).to_have_url(f"{site.address}/help")
            states[role] = context.storage_state()
    return states


Opening = Callable[..., Page]


@pytest.fixture
def opened(chromium: Browser, site: Site, signed_in: dict[str, Any]) -> Iterator[Opening]:
    """Opens a window of a person; at the end none of them may have complained."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def window(
        address: str = "/",
        role: Role | None = "administrator",
        *,
        scripts: bool = True,
        size: tuple[int, int] = WIDE,
    ) -> Page:
        context = chromium.new_context(
            base_url=site.address,
            storage_state=signed_in[role] if role else None,
            java_script_enabled=scripts,
            viewport={"width": size[0], "height": size[1]},
            reduced_motion="reduce",
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        # A page of an error is an answer that a test may ask for.
        page.on(
            "console",
            lambda said: (
                complaints.append(f"{page.url}: {said.text}")
                if said.type == "error" and "Failed to load resource" not in said.text
                else None
            ),
        )
        page.goto(address)
        return page

    yield window
    for context in contexts:
        context.close()
    assert complaints == []
