"""The users file, by its commands and as the server reads it."""

from __future__ import annotations

import json
import os
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import cxrdex
from indexer.errors import CxrdexError, NotFoundError
from search.web.people.users import Users
from tests.search.web.people.conftest import PASSWORD


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "users.json"


def command(path: Path, *words: str, stdin: str = "", code: int = 0) -> str:
    done = CliRunner().invoke(cxrdex, ["user", *words, "--users", str(path)], input=stdin)
    assert done.exit_code == code, done.output
    return done.output.strip()


def test_people_come_and_go_by_commands(path: Path) -> None:
    command(path, "add", "ada", "--role", "reader", stdin=f"{PASSWORD}\n")
    command(path, "add", "bot", "--role", "reviewer", "--no-password")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    users = Users(path)
    found = users.by_password("ada", PASSWORD)
    assert found is not None
    assert (found.name, found.role) == ("ada", "reader")
    assert users.by_password("ada", "wrong") is None
    assert users.by_password("bot", "") is None
    assert users.by_password("eve", PASSWORD) is None
    command(path, "role", "ada", "administrator")
    assert users.get("ada").role == "administrator"
    command(path, "passwd", "ada", stdin="another long one\n")
    assert users.by_password("ada", PASSWORD) is None
    assert users.by_password("ada", "another long one") is not None
    listed = json.loads(command(path, "list", "--format", "json"))
    assert [(one["name"], one["has_password"]) for one in listed] == [("ada", True), ("bot", False)]
    command(path, "remove", "ada")
    assert "ada" not in command(path, "list")
    with pytest.raises(NotFoundError):
        users.get("ada")


def test_no_secret_is_kept_or_printed(path: Path) -> None:
    printed = command(path, "add", "ada", "--role", "reader", stdin=f"{PASSWORD}\n")
    token = command(path, "token", "ada")
    printed += command(path, "list") + command(path, "list", "--format", "json")
    for text in (path.read_text(), printed):
        assert PASSWORD not in text
        assert token not in text
        assert token.rpartition("_")[2] not in text
    assert "$argon2id$" in path.read_text()


@pytest.mark.parametrize(
    ("words", "stdin", "told"),
    [
        (("add", "ada", "--role", "reader"), "short\n", "at least 12"),
        (("add", "a b", "--role", "reader"), f"{PASSWORD}\n", "is no name"),
        (("add", "../x", "--role", "reader"), f"{PASSWORD}\n", "is no name"),
        (("add", "bob", "--role", "reader"), f"{PASSWORD}\n", "already there"),
    ],
)
def test_what_cannot_be_added(path: Path, words: tuple[str, ...], stdin: str, told: str) -> None:
    Users(path).add("bob", "reader", None)
    assert told in command(path, *words, stdin=stdin, code=1)


@pytest.mark.parametrize("words", [("remove",), ("passwd",), ("token",), ("revoke",)])
def test_nobody_of_this_name(path: Path, words: tuple[str, ...]) -> None:
    Users(path).add("bob", "reader", None)
    assert "nobody is called eve" in command(path, *words, "eve", code=7)


def test_tokens_end_when_they_are_over_or_withdrawn(path: Path) -> None:
    users = Users(path)
    users.add("bot", "reader", None)
    first, second = users.add_token("bot"), users.add_token("bot", days=1)
    assert [users.by_token(one) is not None for one in (first, second, first + "x")] == [1, 1, 0]
    day = datetime.now(UTC) - timedelta(days=1)
    data = json.loads(path.read_text())
    data["users"][0]["tokens"][1]["expires"] = day.isoformat()
    path.write_text(json.dumps(data))
    assert users.by_token(second) is None
    assert "over" in command(path, "list")
    command(path, "revoke", "bot", users.get("bot").tokens[0].id)
    assert users.by_token(first) is None
    assert "has no token" in command(path, "revoke", "bot", "00000000", code=7)


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o604, 0o666])
def test_a_file_that_others_could_change_is_refused(path: Path, mode: int) -> None:
    users = Users(path)
    users.add("ada", "reader", None)
    path.chmod(mode)
    with pytest.raises(CxrdexError, match="chmod 600"):
        users.all()
    path.chmod(0o640)
    users.set_role("ada", "reviewer")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "{}", "\0"),
        *('{"format": 2, "users": []}', '{"format": 1, "users": [{}]}'),
        '{"format": 1, "users": [{"name": "a", "role": "king", "password": null, "stamp": "",'
        ' "tokens": []}]}',
    ],
)
def test_no_users_file(path: Path, content: str) -> None:
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(CxrdexError, match="users file"):
        Users(path).all()


def test_changes_at_once_lose_nobody(path: Path) -> None:
    Users(path).add("first", "reader", None)
    threads = [
        threading.Thread(target=Users(path).add, args=(f"n{n}", "reader", None)) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Users(path).all()) == 9
