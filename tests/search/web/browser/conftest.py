"""One server process and one Chromium for all tests of the folder.

Chromium is never downloaded: it is the one of the system, or of the variable CXRDEX_CHROMIUM.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from indexer.simulation import Simulation
from search.web.people.person import ROLES, Role
from search.web.people.users import Users

CHROMIUM = os.environ.get("CXRDEX_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
PASSWORD = "correct horse battery"
WIDE = (1280, 900)
PHONE = (390, 800)
# Two cores read films for several pages at once.
PATIENCE = 20_000

expect.set_options(timeout=PATIENCE)


@dataclass(frozen=True)
class Site:
    """A server that people sign in to, and the films that it has.

    Parameters
    ----------
    address
        Of the server, without a slash at the end.
    database
        Its database.
    film
        A DICOM file of the archive, which no other film is the same as.
    """

    address: str
    database: Path
    film: Path

    def asked(self, role: Role, address: str, **query: Any) -> Any:
        """The JSON of an address of the API, asked for without the browser."""
        with httpx2.Client(base_url=self.address, follow_redirects=True) as client:
            client.post("/sign-in", data={"name": role, "password": PASSWORD})
            answer = client.get(address, params=query)
            assert answer.status_code == 200, answer.text
            return answer.json()


@pytest.fixture(scope="package")
def site(
    web_database: Path, simulation: Simulation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("browser")
    shutil.copytree(web_database, folder / "database")
    users = Users(folder / "users.json")
    for role in ROLES:
        users.add(role, role, PASSWORD)
    words = [sys.executable, "-m", "cli", "serve", "--port", "0", "--database"]
    words += [str(folder / "database"), "--users", str(folder / "users.json")]
    words += ["--request-rate", "0", "--upload-rate", "0", "--viewer", "https://v.example/{study}"]
    film = next(
        simulation.folder / file.name
        for file in simulation.files
        if file.outcome == "done" and file.findings and (simulation.folder / file.name).is_file()
    )
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert server.stdout is not None
        said = server.stdout.readline()
        assert "answers" in said, (said, (folder / "log").read_text())
        yield Site(said.split()[0].rstrip("/"), folder / "database", film)
    finally:
        server.terminate()
        server.wait(30)
        if server.stdout is not None:
            server.stdout.close()
    assert "Traceback" not in (folder / "log").read_text()


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
            color_scheme="dark",
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
