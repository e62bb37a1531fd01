"""Parts of the server that need no database."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any, NamedTuple

import pytest
from fastapi import FastAPI, Request
from jinja2 import Environment, PackageLoader

from indexer.errors import CxrdexError, NotFoundError
from search.web.settings import WebSettings, is_loopback
from search.web.uploads import Intake, Uploads, limit_body
from tests.search.web.people.conftest import listening


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


@contextmanager
def sending(port: int, size: int) -> Iterator[socket.socket]:
    """A film of which the server has the head alone."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as film:
        head = f"POST /v1/similar HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n\r\n"
        film.sendall(head.encode())
        yield film


class Sent(NamedTuple):
    """What came of a film."""

    status: int
    kind: str | None = None
    again: str | None = None


def sent(port: int, size: int, path: str = "/v1/similar") -> Sent:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", path, b"x" * size)
        answer = connection.getresponse()
        answer.read()
        headers = answer.headers
        return Sent(answer.status, headers["content-type"], headers["retry-after"])
    finally:
        connection.close()


@pytest.mark.parametrize(("most", "size"), [(2, 1 << 20), (9, 250)])
def test_films_are_let_in_a_few_at_a_time(most: int, size: int) -> None:
    app = FastAPI()

    @app.post("/v1/similar")
    @app.post("/elsewhere")
    async def take(request: Request) -> int:
        return len(await request.body())

    def until(status: int) -> Sent:
        """The server may not have seen yet who came or went."""
        for _ in range(200):
            found = sent(port, 100)
            if found.status == status:
                return found
            time.sleep(0.05)
        raise AssertionError(f"never {status}")

    with listening(Intake(app, most, size, largest=100)) as port:
        assert sent(port, 100).status == 200
        # A single one may be larger than all together.
        assert sent(port, 300).status == 200
        with sending(port, 100) as first, sending(port, 100):
            refused = until(503)
            assert refused.kind == "application/problem+json"
            assert int(refused.again or 0) > 0
            assert sent(port, 100, "/elsewhere").status == 200
            first.sendall(b"x" * 100)
            assert first.recv(100).startswith(b"HTTP/1.1 200")
            until(200)
            with sending(port, 100):
                until(503)
        # Those who go away leave their places to others.
        with sending(port, 100):
            until(200)


def test_what_does_not_arrive_in_time_loses_its_place() -> None:
    app = FastAPI()

    @app.post("/v1/similar")
    async def take(request: Request) -> int:
        return len(await request.body())

    @app.post("/slow")
    async def answer_late(request: Request) -> int:
        whole = len(await request.body())
        await asyncio.sleep(0.6)
        return -1 if await request.is_disconnected() else whole

    async def limited(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, limit_body(receive, 300, "too large", seconds=0.4), send)

    with listening(limited) as port:
        with sending(port, 100) as late:
            # Half of it comes, and no more.
            late.sendall(b"x" * 50)
            assert late.recv(100).startswith(b"HTTP/1.1 408")
        assert sent(port, 100).status == 200
        assert sent(port, 301).status == 413
        # An answer may take longer than what was sent.
        assert sent(port, 100, "/slow").status == 200
