"""Parts of the server that need no database."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2 import Environment, PackageLoader

from indexer.errors import CxrdexError, NotFoundError
from search.web.settings import WebSettings, is_loopback
from search.web.uploads import Uploads


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "::1"])
def test_loopback_addresses(host: str) -> None:
    assert is_loopback(host)
    assert WebSettings(host=host).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
def test_other_addresses_are_refused(host: str) -> None:
    with pytest.raises(CxrdexError, match="no sign-in"):
        WebSettings(host=host)


@pytest.mark.parametrize(
    "address", ["https://x/{StudyUID}", "https://x/{", "v.example/{study}", "javascript:{study}"]
)
def test_what_is_no_address_of_a_viewer_is_refused_at_the_start(address: str) -> None:
    with pytest.raises(CxrdexError, match="viewer"):
        WebSettings(viewer=address)


def test_a_viewer_is_called_with_the_ids() -> None:
    settings = WebSettings(viewer="weasis://x/?s={study}&i={image}")
    assert settings.viewer_address("abc", "def") == "weasis://x/?s=abc&i=def"
    assert WebSettings().viewer_address("abc", "def") is None


def test_uploads_are_forgotten_by_time_and_number() -> None:
    now = 0.0
    uploads = Uploads(2, 10, 1000, clock=lambda: now)
    first, second = uploads.add(b"first"), uploads.add(b"second")
    assert uploads.get(first).content == b"first"
    third = uploads.add(b"third")
    # The second was not asked for for longest.
    with pytest.raises(NotFoundError, match="send it again"):
        uploads.get(second)
    now = 9
    assert uploads.get(first).content == b"first"
    now = 12
    assert uploads.get(first).content == b"first"
    with pytest.raises(NotFoundError):
        uploads.get(third)
    assert len({first, second, third}) == 3
    assert min(map(len, (first, second, third))) >= 32


def test_uploads_take_no_more_memory_than_is_allowed() -> None:
    uploads = Uploads(16, 10, 1000)
    first, second, third = (uploads.add(b"x" * 400) for _ in range(3))
    with pytest.raises(NotFoundError, match="send it again"):
        uploads.get(first)
    assert len(uploads.get(second).content) == len(uploads.get(third).content) == 400
    large = uploads.add(b"x" * 3000)
    assert len(uploads.get(large).content) == 3000
    with pytest.raises(NotFoundError):
        uploads.get(third)


@pytest.mark.parametrize(("rows", "columns", "has"), [(1024, 800, False), (900, 2500, True)])
def test_a_film_of_more_pixels_than_are_shown_at_first_is_to_be_had_in_full(
    rows: int, columns: int, has: bool
) -> None:
    tools: Any = Environment(loader=PackageLoader("search.web")).get_template("tools.html").module
    said = tools.larger({"id": "abc", "rows": rows, "columns": columns})
    assert ('data-larger="/v1/images/abc/pixels?size=2048"' in said) == has
