"""Behind nginx with TLS, set up as docs/serve.md says."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import trustme

from search.web.people.sessions import COOKIE
from search.web.people.settings import SignInSettings
from search.web.people.users import Users
from search.web.settings import WebSettings
from tests.search.web.people.conftest import HOST, PASSWORD, listening, small_app

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
CONFIGURATION = Path(__file__).parents[4] / "docs" / "nginx.conf"
AROUND = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {server}
}}
"""

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of nginx, with a certificate."""
    certificate = trustme.CA()
    certificate.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = certificate.issue_cert(HOST, "127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "films.crt")
    issued.private_key_pem.write_to_path(tmp_path / "films.key")
    return tmp_path


@pytest.fixture
def browser(folder: Path, users: Users) -> Iterator[httpx2.Client]:
    """A browser that knows nginx alone, in front of a server that believes it who asks."""
    assert NGINX is not None
    sign_in = SignInSettings(
        users=folder / "users.json", proxies=("127.0.0.1",), proxy_header="X-Remote-User"
    )
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]
    with listening(small_app(WebSettings(names=(HOST,), sign_in=sign_in))) as behind:
        server = CONFIGURATION.read_text()
        for old, new in (
            ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
            ("/etc/nginx/", f"{folder}/"),
            ("127.0.0.1:8000", f"127.0.0.1:{behind}"),
        ):
            assert old in server
            server = server.replace(old, new)
        (folder / "nginx.conf").write_text(AROUND.format(folder=folder, server=server))
        words = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
        nginx = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        trusted = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        client = httpx2.Client(
            base_url=f"https://127.0.0.1:{port}",
            headers={"host": HOST},
            verify=trusted,
            trust_env=False,
        )
        try:
            for _ in range(200):
                if nginx.poll() is not None:
                    pytest.fail(f"nginx ended: {nginx.stderr.read() if nginx.stderr else ''}")
                with socket.socket() as door:
                    if door.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield client
        finally:
            client.close()
            nginx.terminate()
            nginx.wait(30)
            if nginx.stderr is not None:
                nginx.stderr.close()


def test_people_sign_in_through_nginx(browser: httpx2.Client) -> None:
    assert browser.get("/v1/reader").status_code == 401
    sent = browser.get("/search?q=a")
    assert sent.headers["location"] == "/sign-in?to=%2Fsearch%3Fq%3Da"
    origin = {"origin": f"https://{HOST}", "sec-fetch-site": "same-origin"}
    came = browser.post(
        "/sign-in", data={"name": "reader", "password": PASSWORD, "to": "/"}, headers=origin
    )
    assert came.status_code == 303
    assert "secure" in came.headers["set-cookie"].lower(), "it knows that nginx speaks TLS"
    # The browser would send it by the host's name, which is not the address used here.
    cookie = {"cookie": f"{COOKIE}={came.cookies[COOKIE]}"}
    assert browser.get("/v1/reader", headers=cookie).json() == "reader reader"
    evil = {**cookie, "origin": "https://evil.example"}
    assert browser.post("/reader", headers=evil).status_code == 403


def test_a_browser_cannot_say_who_it_is(browser: httpx2.Client) -> None:
    forged = {"X-Remote-User": "administrator", "X-Forwarded-For": "127.0.0.1"}
    assert browser.get("/v1/reader", headers=forged).status_code == 401


def test_wrong_passwords_count_by_the_browsers_address(browser: httpx2.Client) -> None:
    codes = []
    for n in range(21):
        forged = {"X-Forwarded-For": f"198.51.100.{n}"}
        data = {"name": f"n{n}", "password": "wrong wrong wrong"}
        codes.append(browser.post("/sign-in", data=data, headers=forged).status_code)
    assert codes == [401] * 20 + [429]
