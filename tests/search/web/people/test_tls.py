"""`cxrdex serve` with a certificate of its own."""

from __future__ import annotations

import re
import ssl
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
import trustme

from search.web.people.sessions import COOKIE
from search.web.people.users import Users
from tests.search.web.people.conftest import HOST, PASSWORD


@pytest.fixture
def folder(tmp_path: Path, users: Users) -> Path:
    """Of a users file, a certificate with its key, and the key of another one."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = authority.issue_cert(HOST, "127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "films.crt")
    issued.private_key_pem.write_to_path(tmp_path / "films.key")
    authority.issue_cert(HOST).private_key_pem.write_to_path(tmp_path / "other.key")
    (tmp_path / "empty.crt").write_text("no certificate")
    return tmp_path


def words(database: Path, folder: Path, certificate: str, key: str) -> list[str]:
    return [
        *(sys.executable, "-m", "cli", "serve", "--database", str(database), "--port", "0"),
        *("--users", str(folder / "users.json"), "--name", HOST),
        *("--tls-cert", str(folder / certificate), "--tls-key", str(folder / key)),
    ]


def test_it_speaks_tls_alone(web_database: Path, folder: Path) -> None:
    command = words(web_database, folder, "films.crt", "films.key")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            said = server.stdout.readline()
            found = re.match(rf"https://{HOST}:(\d+)/ answers", said)
            assert found is not None, said
            port = found[1]
            trusted = ssl.create_default_context(cafile=str(folder / "ca.pem"))
            with httpx2.Client(
                base_url=f"https://127.0.0.1:{port}", verify=trusted, trust_env=False
            ) as client:
                here = {"host": f"{HOST}:{port}"}
                assert client.get("/v1/status", headers=here).status_code == 401
                came = client.post(
                    "/sign-in", data={"name": "reader", "password": PASSWORD}, headers=here
                )
                assert came.status_code == 303
                assert "secure" in came.headers["set-cookie"].lower()
                cookie = {**here, "cookie": f"{COOKIE}={came.cookies[COOKIE]}"}
                assert client.get("/v1/status", headers=cookie).status_code == 200
            with pytest.raises(httpx2.TransportError):
                httpx2.get(f"http://127.0.0.1:{port}/sign-in", trust_env=False)
            with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                httpx2.get(f"https://127.0.0.1:{port}/sign-in", trust_env=False)
        finally:
            server.terminate()


@pytest.mark.parametrize(
    ("certificate", "key"), [("films.crt", "other.key"), ("empty.crt", "films.key")]
)
def test_a_certificate_that_does_not_fit(
    web_database: Path, folder: Path, certificate: str, key: str
) -> None:
    command = words(web_database, folder, certificate, key)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert f"--tls-cert {folder / certificate}" in done.stderr
    assert "Traceback" not in done.stderr
