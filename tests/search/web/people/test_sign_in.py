"""Coming in and going out: passwords, sessions, tokens, proxies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from indexer.errors import CxrdexError
from search.web.people import users as users_file
from search.web.people.person import ROLES
from search.web.people.sessions import COOKIE, Sessions
from search.web.people.settings import SignInSettings
from search.web.people.users import Users
from search.web.settings import WebSettings
from tests.search.web.people.conftest import PASSWORD, sign_in, small_app

Serve = Callable[..., TestClient]
PROBLEM = "application/problem+json"


def test_nobody_sees_anything_before_signing_in(serve: Serve, users: Users) -> None:
    client = serve()
    for path in ("/v1/reader", "/v1/nothing", "/v1/../v1/reader", "/static/app.js"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (401, PROBLEM), path
        assert answer.headers["www-authenticate"] == "Bearer"
    for path in ("/", "/nothing", "/search?q=a%26b", "/sign-in/", "//v1/reader"):
        answer = client.get(path)
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/sign-in")
    assert client.post("/reader").status_code == 303
    page = client.get("/sign-in")
    assert page.status_code == 200
    assert "<script" not in page.text
    assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_session_from_the_form_to_its_end(serve: Serve, users: Users, scheme: str) -> None:
    client = serve(scheme=scheme)
    wanted = client.get("/search?q=a%26b").headers["location"]
    page = client.get(wanted)
    assert 'value="/search?q=a%26b"' in page.text
    answer = sign_in(client, "reviewer", to="/search?q=a%26b")
    assert (answer.status_code, answer.headers["location"]) == (303, "/search?q=a%26b")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert ("secure" in cookie) == (scheme == "https")
    assert client.get("/v1/reviewer").json() == "reviewer reviewer"
    assert client.get("/v1/administrator").status_code == 403
    value = client.cookies[COOKIE]
    assert client.post("/sign-out").status_code == 303
    client.cookies.set(COOKIE, value)
    assert client.get("/v1/reader").status_code == 401


def test_a_wrong_password_says_not_which_was_wrong(serve: Serve, users: Users) -> None:
    client = serve()
    texts = {sign_in(client, name, "wrong wrong wrong").text for name in ("reader", "nobody")}
    assert len({text.replace("reader", "X").replace("nobody", "X") for text in texts}) == 1
    assert client.get("/v1/reader").status_code == 401


@pytest.mark.parametrize(
    "to", ["//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nb", "javascript:1"]
)
def test_the_way_back_leads_nowhere_else(serve: Serve, users: Users, to: str) -> None:
    assert sign_in(serve(), "reader", to=to).headers["location"] == "/"


def test_another_site_cannot_sign_someone_in(serve: Serve, users: Users) -> None:
    client = serve()
    data = {"name": "reader", "password": PASSWORD}
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert client.post("/sign-in", data=data, headers=headers).status_code == 403


@pytest.mark.parametrize("cookie", ["", "x", "a.b", "A" * 5000])
def test_a_forged_cookie_is_nobodys(serve: Serve, users: Users, cookie: str) -> None:
    client = serve()
    client.cookies.set(COOKIE, cookie)
    assert client.get("/v1/reader").status_code == 401
    other = Sessions(60, 60, 1).begin("reader", users.get("reader").stamp)
    client.cookies.set(COOKIE, other)
    assert client.get("/v1/reader").status_code == 401


@pytest.mark.parametrize("end", ["remove", "revoke", "passwd", "anew"])
def test_who_is_withdrawn_is_out_at_once(serve: Serve, users: Users, end: str) -> None:
    client = serve()
    sign_in(client, "reader")
    token = {"authorization": f"Bearer {users.add_token('reader')}"}
    assert client.get("/v1/reader").status_code == 200
    if end in ("remove", "anew"):
        users.remove("reader")
    if end == "anew":
        users.add("reader", "reader", PASSWORD)
    if end == "revoke":
        users.revoke("reader")
    if end == "passwd":
        users.set_password("reader", "another long one")
    assert client.get("/v1/reader").status_code == 401
    client.cookies.clear()
    assert client.get("/v1/reader", headers=token).status_code == (200 if end == "passwd" else 401)


def test_a_role_changes_at_once(serve: Serve, users: Users) -> None:
    client = serve()
    sign_in(client, "reader")
    users.set_role("reader", "administrator")
    assert client.get("/v1/administrator").json() == "reader administrator"


def test_a_users_file_that_is_broken_lets_nobody_in(
    serve: Serve, users: Users, tmp_path: Path
) -> None:
    client = serve()
    sign_in(client, "reader")
    (tmp_path / "users.json").write_text("{")
    assert client.get("/v1/reader").status_code == 503


@pytest.mark.parametrize("role", ROLES)
def test_tokens_are_for_programs(serve: Serve, users: Users, role: str) -> None:
    client = serve()
    headers = {"authorization": f"Bearer {users.add_token(role)}"}
    assert client.get(f"/v1/{role}", headers=headers).json() == f"{role} {role}"
    wrong = {"authorization": "Bearer cxrdex_00000000_x"}
    sign_in(client, role)
    # Whoever shows a token is taken at its word, not at the cookie's.
    assert client.get("/v1/reader", headers=wrong).status_code == 401


def test_wrong_passwords_have_to_wait(serve: Serve, users: Users) -> None:
    client = serve()
    codes = [sign_in(client, "reader", "wrong wrong wrong").status_code for _ in range(6)]
    assert codes == [401] * 5 + [429]
    answer = sign_in(client, "reader")
    assert answer.status_code == 429, "the right one waits too"
    assert int(answer.headers["retry-after"]) >= 1
    assert sign_in(client, "reviewer").status_code == 303


def test_one_address_tries_not_many_names(serve: Serve, users: Users) -> None:
    client = serve()
    codes = [sign_in(client, f"n{n}", "wrong wrong wrong").status_code for n in range(21)]
    assert codes == [401] * 20 + [429]


def test_people_of_one_address_who_are_right_do_not_wait(serve: Serve, users: Users) -> None:
    client = serve()
    assert {sign_in(client, "reader").status_code for _ in range(25)} == {303}


def test_a_flood_of_passwords_takes_not_all_threads(
    serve: Serve, users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve()
    monkeypatch.setattr(users_file, "_PATIENCE", 0.05)
    with users_file._HASHING, users_file._HASHING:
        assert sign_in(client, "reader").status_code == 503
    assert sign_in(client, "reader").status_code == 303


def test_requests_and_uploads_have_a_rate(serve: Serve, users: Users) -> None:
    client = serve(request_rate=10, upload_rate=2)
    headers = {"authorization": f"Bearer {users.add_token('reader')}"}
    uploads = [client.post("/v1/similar", headers=headers).status_code for _ in range(3)]
    assert uploads == [404, 404, 429]
    codes = [client.get("/v1/reader", headers=headers) for _ in range(8)]
    assert [answer.status_code for answer in codes] == [200] * 7 + [429]
    assert int(codes[-1].headers["retry-after"]) >= 1
    assert codes[-1].headers["content-type"] == PROBLEM
    other = {"authorization": f"Bearer {users.add_token('reviewer')}"}
    assert client.get("/v1/reader", headers=other).status_code == 200


def test_much_is_not_taken_from_strangers(serve: Serve, users: Users) -> None:
    assert sign_in(serve(), "reader", "x" * (1 << 17)).status_code == 413


PROXY = "10.0.0.5"


def behind_proxy(users_file: Path, **more: object) -> SignInSettings:
    return SignInSettings(
        users=users_file,
        proxies=(PROXY,),
        proxy_header="X-Remote-User",
        **more,  # type: ignore[arg-type]
    )


def test_a_proxy_says_who_asks(serve: Serve, users: Users, tmp_path: Path) -> None:
    settings = behind_proxy(tmp_path / "users.json")
    headers = {"X-Remote-User": "administrator", "X-Forwarded-Proto": "https"}
    client = serve(settings, peer=PROXY, scheme="http")
    assert client.get("/v1/administrator", headers=headers).json() == "administrator administrator"
    assert client.get("/v1/reader", headers={"X-Remote-User": "stranger"}).status_code == 403
    assert client.get("/v1/reader").status_code == 401
    twice = [("X-Remote-User", "reader"), ("X-Remote-User", "administrator")]
    assert client.get("/v1/reader", headers=twice).status_code == 400
    signed = client.post(
        "/sign-in", data={"name": "reader", "password": PASSWORD}, headers=[*headers.items()][1:]
    )
    assert "secure" in signed.headers["set-cookie"].lower()


def test_nobody_else_is_believed(serve: Serve, users: Users, tmp_path: Path) -> None:
    settings = behind_proxy(tmp_path / "users.json")
    for peer in ("10.0.0.6", "127.0.0.1", "10.0.0.55"):
        headers = {"X-Remote-User": "administrator", "X-Forwarded-For": PROXY}
        client = serve(settings, peer=peer, scheme="http")
        assert client.get("/v1/reader", headers=headers).status_code == 401


def test_people_whom_only_the_proxy_knows(serve: Serve, users: Users, tmp_path: Path) -> None:
    client = serve(behind_proxy(tmp_path / "users.json", unlisted="reader"), peer=PROXY)
    assert client.get("/v1/reader", headers={"X-Remote-User": "guest"}).json() == "guest reader"
    assert client.get("/v1/reviewer", headers={"X-Remote-User": "guest"}).status_code == 403
    assert client.get("/v1/reader", headers={"X-Remote-User": "a b"}).status_code == 403


def test_sessions_end_by_time_and_number() -> None:
    now = 0.0
    sessions = Sessions(idle=10, longest=25, each=2, clock=lambda: now)
    first = sessions.begin("ada", "s")
    now = 9
    assert sessions.find(first) is not None
    now = 18
    assert sessions.find(first) is not None
    now = 26
    assert sessions.find(first) is None, "too long"
    second = sessions.begin("ada", "s")
    now = 37
    assert sessions.find(second) is None, "idle"
    three = [sessions.begin("ada", "s") for _ in range(3)]
    other = sessions.begin("bob", "s")
    assert [sessions.find(one) is not None for one in (*three, other)] == [False, True, True, True]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "nobody could sign in"),
        ({"proxies": ("10.0.0.5",)}, "nobody could sign in"),
        ({"proxy_header": "X-User"}, "needs `proxies`"),
        ({"proxy_header": "X-User", "proxies": ("10.0.0.5",)}, "`unlisted` ROLE"),
        ({"proxy_header": "X-User", "proxies": ("proxy.local",)}, "no IP address"),
    ],
)
def test_sign_ins_that_let_nobody_in(settings: dict[str, object], told: str) -> None:
    with pytest.raises(CxrdexError, match=told):
        SignInSettings(**settings)  # type: ignore[arg-type]


def test_other_names_need_a_sign_in(tmp_path: Path) -> None:
    with pytest.raises(CxrdexError, match="no sign-in"):
        WebSettings(names=("films.example",))
    settings = WebSettings(sign_in=SignInSettings(users=tmp_path / "nothing.json"))
    with pytest.raises(CxrdexError, match="users file"):
        small_app(settings)
