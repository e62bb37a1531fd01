"""What of requests is in the audit."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from search.web.audit.trail import AuditEvent, Trail
from search.web.audit.writing import Audit
from search.web.people.users import Users
from tests.search.web.people.conftest import PASSWORD, sign_in

Serve = Callable[..., TestClient]


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[Audit]:
    """An audit that is being written."""
    with Audit(tmp_path / "audit.sqlite") as audit:
        yield audit


def events(audit: Audit) -> list[AuditEvent]:
    assert audit.flush()
    with Trail(audit.path) as trail:
        return [row.event for row in trail.all()][1:]


def test_who_came_and_what_they_did(serve: Serve, users: Users, audit: Audit) -> None:
    client = serve(audit=audit)
    client.get("/v1/reader")
    sign_in(client, "reader", "wrong wrong wrong")
    sign_in(client, PASSWORD, "reader")
    sign_in(client, "reader")
    client.get("/v1/reader?q=pleural+effusion&after=secret")
    client.post("/reader")
    client.get("/v1/administrator")
    client.post("/sign-out")
    client.get("/v1/reader", headers={"authorization": "Bearer wrong"})
    found = events(audit)
    assert [(e.action, e.status, e.person) for e in found] == [
        ("sign in", 401, "reader"),
        ("sign in", 401, ""),
        ("sign in", 303, "reader"),
        ("open", 200, "reader"),
        ("change", 200, "reader"),
        ("open", 403, "reader"),
        ("sign out", 303, "reader"),
        ("sign in", 401, ""),
    ]
    assert found[3].detail == "q=pleural effusion"
    assert {e.address for e in found} == {"192.0.2.7"}
    content = audit.path.read_bytes() + audit.path.with_name("audit.sqlite-wal").read_bytes()
    assert PASSWORD.encode() not in content


def test_what_cannot_be_audited_is_refused(serve: Serve, users: Users, audit: Audit) -> None:
    client = serve(audit=audit)
    sign_in(client, "reader")
    assert audit.flush()
    other = sqlite3.connect(audit.path)
    other.execute("ALTER TABLE events RENAME TO elsewhere")
    other.commit()
    codes: list[int] = []
    end = time.monotonic() + 20
    while codes[-1:] != [503] and time.monotonic() < end:
        codes.append(client.get("/v1/reader").status_code)
        time.sleep(0.01)
    assert codes[-1] == 503
    assert client.post("/reader").status_code == 503
    assert client.get("/sign-in").status_code == 303, "nothing of a patient is there"
    other.execute("ALTER TABLE elsewhere RENAME TO events")
    other.commit()
    other.close()
    assert audit.flush(20)
    assert client.get("/v1/reader").status_code == 200
    # What was answered is there, and nothing else.
    done = [e for e in events(audit) if e.action == "open"]
    assert len(done) == codes.count(200) + 1
