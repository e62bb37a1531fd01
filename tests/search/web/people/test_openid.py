"""Signing in at a provider of identities, and at whoever plays one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from starlette.testclient import TestClient

from indexer.errors import CxrdexError
from search.web.people.settings import OpenIdSettings, SignInSettings
from search.web.people.users import Users
from tests.search.web.people.provider import CLIENT, SECRET, Provider, running

Serve = Callable[..., TestClient]


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider on loopback."""
    with running(Provider()) as provider:
        yield provider


@pytest.fixture
def client(serve: Serve, users: Users, provider: Provider, tmp_path: Path) -> TestClient:
    """A browser of a server that trusts it."""
    settings = OpenIdSettings(issuer=provider.issuer, client=CLIENT, secret=SECRET)
    return serve(SignInSettings(users=tmp_path / "users.json", openid=settings))


def at_provider(client: TestClient, to: str = "/") -> tuple[str, str]:
    """Go to the provider; where it sends the browser back to, and the state."""
    left = client.get("/sign-in/openid", params={"to": to})
    assert left.status_code == 302, left.text
    sent = httpx2.get(left.headers["location"], trust_env=False)
    back = urlsplit(sent.headers["location"])
    assert f"{back.scheme}://{back.netloc}" == str(client.base_url).rstrip("/")
    return f"{back.path}?{back.query}", parse_qs(back.query)["state"][0]


def test_whom_the_provider_knows_comes_in(client: TestClient, provider: Provider) -> None:
    assert "127.0.0.1" in client.get("/sign-in").text
    provider.name = "reviewer"
    back, _ = at_provider(client, "/search?q=a%26b")
    came = client.get(back)
    assert (came.status_code, came.headers["location"]) == (303, "/search?q=a%26b")
    assert client.get("/v1/reviewer").json() == "reviewer reviewer"
    assert client.get("/v1/administrator").status_code == 403
    assert client.get(back).status_code == 400, "a callback counts once"


def test_who_is_withdrawn_is_out_at_once(client: TestClient, users: Users) -> None:
    client.get(at_provider(client)[0])
    assert client.get("/v1/reader").status_code == 200
    users.remove("reader")
    assert client.get("/v1/reader").status_code == 401


@pytest.mark.parametrize(
    "query",
    ["", "?code=x", "?state=x", "?code=x&state=x", "?error=access_denied&error_description=no"],
)
def test_a_forged_callback_is_refused(client: TestClient, query: str) -> None:
    assert client.get(f"/sign-in/openid/callback{query}").status_code == 400
    at_provider(client)
    assert client.get(f"/sign-in/openid/callback{query}").status_code == 400
    assert client.get("/v1/reader").status_code == 401


def test_a_callback_of_another_browser_is_refused(
    client: TestClient, serve: Serve, provider: Provider, tmp_path: Path
) -> None:
    """Somebody else's code does not sign this browser in as them."""
    back, _ = at_provider(client)
    settings = OpenIdSettings(issuer=provider.issuer, client=CLIENT, secret=SECRET)
    other = serve(SignInSettings(users=tmp_path / "users.json", openid=settings))
    assert other.get(back).status_code == 400
    at_provider(other)
    assert other.get(back).status_code == 400
    assert other.get("/v1/reader").status_code == 401


def test_a_code_that_was_not_given_is_refused(client: TestClient) -> None:
    _, state = at_provider(client)
    answer = client.get(f"/sign-in/openid/callback?code=guessed&state={state}")
    assert answer.status_code == 400
    assert "begin again" in answer.text


@pytest.mark.parametrize(
    ("claims", "wrong"),
    [
        ({"aud": "another client"}, ""),
        ({"aud": None}, ""),
        ({"iss": "https://evil.example"}, ""),
        ({"nonce": "another"}, ""),
        ({"nonce": None}, ""),
        ({"exp": int(time.time()) - 3600}, ""),
        ({"sub": None}, ""),
        ({"at_hash": "another"}, ""),
        ({"preferred_username": None}, ""),
        ({"preferred_username": ["administrator"]}, ""),
        *(({}, wrong) for wrong in ("key", "none", "no token", "no json", "silent")),
    ],
)
def test_identities_that_are_not_right(
    client: TestClient, provider: Provider, claims: dict[str, Any], wrong: str
) -> None:
    provider.claims, provider.wrong = claims, wrong
    answer = client.get(at_provider(client)[0])
    assert answer.status_code in (400, 502), answer.text
    assert client.get("/v1/reader").status_code == 401
    provider.claims, provider.wrong = {}, ""
    assert client.get(at_provider(client)[0]).status_code == 303, "the next one is let in"


@pytest.mark.parametrize("name", ["stranger", "a b", "<script>", ""])
def test_who_has_no_role_here_is_told_so(client: TestClient, provider: Provider, name: str) -> None:
    provider.name = name
    answer = client.get(at_provider(client)[0])
    assert answer.status_code == 403
    assert "<script>" not in answer.text
    assert client.get("/v1/reader").status_code == 401


def test_a_provider_of_another_name_is_refused(client: TestClient, provider: Provider) -> None:
    provider.claims = {"issuer": "https://evil.example"}
    assert client.get("/sign-in/openid").status_code == 502


def test_a_provider_that_does_not_answer(serve: Serve, users: Users, tmp_path: Path) -> None:
    settings = OpenIdSettings(issuer="http://127.0.0.1:9", client=CLIENT, secret=SECRET)
    client = serve(SignInSettings(users=tmp_path / "users.json", openid=settings))
    answer = client.get("/sign-in/openid")
    assert answer.status_code == 502


def test_a_provider_is_spoken_to_in_secret() -> None:
    with pytest.raises(CxrdexError, match="https"):
        OpenIdSettings(issuer="http://idp.example", client=CLIENT, secret=SECRET)
