"""`cxrdex serve` says what is wrong with its options before it opens anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import uvicorn
from click.testing import CliRunner

from cli.main import cxrdex
from search.web.people.users import Users
from tests.database.making import fill


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--host", "0.0.0.0"], 1, "there is no sign-in"),
        (["--host", "192.0.2.7"], 1, "there is no sign-in"),
        (["--name", "films.example"], 1, "there is no sign-in"),
        (["--proxy-header", "X-User"], 1, "needs --proxy"),
        (["--proxy", "127.0.0.1"], 1, "nobody could sign in"),
        (["--openid", "https://idp.example"], 2, "go together"),
        (["--openid-secret-file", "SECRET"], 2, "go together"),
        (
            ["--openid", "https://i", "--openid-client", "c", "--openid-secret-file", "NONE"],
            1,
            "No such file",
        ),
        (
            ["--proxy-header", "X-User", "--proxy", "10.0.0.5", "--unlisted", "reader"],
            2,
            "--audit FILE",
        ),
        (["--syslog", "127.0.0.1:514"], 2, "need --audit"),
        (["--tls-cert", "SECRET"], 2, "go together"),
        (["--users", "NONE", "--host", "0.0.0.0"], 4, "no database"),
    ],
)
def test_wrong_options(tmp_path: Path, words: list[str], code: int, told: str) -> None:
    (tmp_path / "SECRET").write_text("secret")
    named = [str(tmp_path / word) if word in ("SECRET", "NONE") else word for word in words]
    done = CliRunner().invoke(
        cxrdex, ["serve", "--database", str(tmp_path / "none"), "--port", "0", *named]
    )
    assert done.exit_code == code, done.output
    assert told in done.output


def test_a_password_is_no_argument(tmp_path: Path) -> None:
    path = str(tmp_path / "users.json")
    words = ["user", "add", "ada", "a long password", "--role", "reader", "--users", path]
    assert CliRunner().invoke(cxrdex, words).exit_code == 2
    Users(tmp_path / "users.json").add("ada", "reader", None)
    words = ["user", "passwd", "ada", "a long password", "--users", path]
    assert CliRunner().invoke(cxrdex, words).exit_code == 2


def test_idle_connections_outlast_those_of_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nginx keeps one for a minute; what it sends on one that is being closed is lost."""
    kept: list[int] = []

    def note(server: uvicorn.Server, sockets: object = None) -> None:
        kept.append(server.config.timeout_keep_alive)

    monkeypatch.setattr(uvicorn.Server, "run", note)
    words = ["serve", "--database", str(fill(tmp_path / "db", 1)), "--port", "0"]
    done = CliRunner().invoke(cxrdex, words)
    assert done.exit_code == 0, done.output
    assert kept[0] > 60


def test_a_server_that_nobody_can_sign_in_to_never_says_that_it_answers(tmp_path: Path) -> None:
    words = ["serve", "--database", str(fill(tmp_path / "db", 1)), "--port", "0"]
    words += ["--users", str(tmp_path / "none.json")]
    done = CliRunner().invoke(cxrdex, words)
    assert done.exit_code == 1
    assert "none.json" in done.output
    assert "answers" not in done.output


_HEAPS = """
import ctypes, sys, tempfile, threading
from indexer.memory import share_heaps
if sys.argv[1] == "shared":
    share_heaps(2)
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.fopen.restype = ctypes.c_void_p, ctypes.c_void_p
here = threading.Barrier(12)
def work():
    here.wait()
    libc.malloc(1000)
    here.wait()
threads = [threading.Thread(target=work) for _ in range(12)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
with tempfile.NamedTemporaryFile() as told:
    file = ctypes.c_void_p(libc.fopen(told.name.encode(), b"w"))
    libc.malloc_info(0, file)
    libc.fclose(file)
    print(told.read().count(b"<heap nr"))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks glibc")
def test_threads_of_a_server_share_heaps() -> None:
    own, shared = (
        int(subprocess.check_output([sys.executable, "-c", _HEAPS, how], text=True))
        for how in ("own", "shared")
    )
    assert own > shared
    assert shared <= 2
