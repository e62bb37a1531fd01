"""The chain of rows: written, checked, and found out where it was touched."""

from __future__ import annotations

import logging
import re
import socket
import sqlite3
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import cxrdex
from indexer.errors import CxrdexError, DatabaseLocked, InconsistentError
from search.web.audit.key import audit_key
from search.web.audit.syslog import Syslog, message
from search.web.audit.trail import AuditEvent, AuditRow, Trail, now
from search.web.audit.writing import Audit, AuditFailed


def event(detail: str = "q=effusion", **more: Any) -> AuditEvent:
    values = {"person": "ada", "address": "192.0.2.7", "action": "search", "status": 200, **more}
    return AuditEvent(time=now(), detail=detail, **values)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An audit of a start, ten searches and a stop."""
    path = tmp_path / "audit.sqlite"
    with Audit(path) as audit:
        for n in range(10):
            audit.record(event(f"q={n}"))
    return path


def verified(path: Path, head: str | None = None) -> int:
    with Trail(path, audit_key(path.with_suffix(".key"))) as trail:
        return trail.verify(head).number


def test_all_that_was_taken_is_there_when_it_ends(path: Path) -> None:
    assert verified(path) == 12
    with Trail(path) as trail:
        rows = [*trail.all()]
    assert [row.event.action for row in rows] == ["start", *["search"] * 10, "stop"]
    assert [row.event.detail for row in rows[1:-1]] == [f"q={n}" for n in range(10)]
    for file in (path, path.with_suffix(".key")):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_chain_goes_on_after_a_restart(path: Path) -> None:
    with Audit(path) as audit:
        audit.record(event())
    assert verified(path) == 15


def test_many_threads_write_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    with Audit(path) as audit:

        def write() -> None:
            for _ in range(200):
                audit.record(event())

        threads = [threading.Thread(target=write) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert verified(path) == 8 * 200 + 2


def touch(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        for trigger in ("no_change", "no_deletion"):
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "row"),
    [
        ("UPDATE events SET person = 'eve' WHERE number = 5", 5),
        ("UPDATE events SET status = 404 WHERE number = 7", 7),
        ("UPDATE events SET number = 40 WHERE number = 12", 12),
        ("DELETE FROM events WHERE number = 4", 4),
        ("DELETE FROM events WHERE number = 1", 1),
        (
            "INSERT INTO events SELECT 13, time, person, address, action, status, route, subject,"
            " detail, seal FROM events WHERE number = 12",
            13,
        ),
        ("UPDATE events SET seal = 'é' WHERE number = 3", 3),
    ],
)
def test_what_was_touched_is_named(path: Path, statement: str, row: int) -> None:
    touch(path, statement)
    with pytest.raises(InconsistentError, match=rf"row {row} "):
        verified(path)
    done = CliRunner().invoke(cxrdex, ["audit", "--verify", "--audit", str(path)])
    assert done.exit_code == 8
    assert f"row {row} " in done.output


def test_rows_are_only_added(path: Path) -> None:
    connection = sqlite3.connect(path)
    for statement in ("UPDATE events SET person = ''", "DELETE FROM events"):
        with pytest.raises(sqlite3.IntegrityError, match="only added"):
            connection.execute(statement)
    connection.close()


def test_a_cut_tail_is_shown_by_a_logged_head(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "audit.sqlite"
    with caplog.at_level(logging.INFO, "search.web.audit"), Audit(path) as audit:
        audit.record(event())
    heads = re.findall(r"row (\d+), seal ([0-9a-f]{64})", caplog.text)
    assert [number for number, _ in heads] == ["1", "3"] or heads[-1][0] == "3"
    head = heads[-1][1]
    assert verified(path, head) == 3
    touch(path, "DELETE FROM events WHERE number = 3")
    assert verified(path) == 2
    with pytest.raises(InconsistentError, match="cut from its end"):
        verified(path, head)
    words = ["audit", "--verify", "--audit", str(path), "--head", head]
    assert CliRunner().invoke(cxrdex, words).exit_code == 8


def test_another_key_is_told(path: Path) -> None:
    path.with_suffix(".key").write_bytes(b"k" * 32)
    with pytest.raises(InconsistentError, match="the key is another"):
        verified(path)


def test_a_key_that_others_can_read_is_refused(path: Path) -> None:
    path.with_suffix(".key").chmod(0o640)
    with pytest.raises(CxrdexError, match="chmod 600"):
        Audit(path)
    path.with_suffix(".key").chmod(0o600)
    Audit(path).close()


def test_one_server_writes_it(path: Path) -> None:
    with Audit(path), pytest.raises(DatabaseLocked, match="another server"):
        Audit(path)


@pytest.mark.parametrize(("details", "kept"), [("full", "q=smith"), ("keyed", None), ("none", "")])
def test_what_is_kept_of_questions(tmp_path: Path, details: Any, kept: str | None) -> None:
    path = tmp_path / "audit.sqlite"
    with Audit(path, details=details) as audit:
        for text in ("q=smith", "q=smith", "q=jones"):
            audit.record(event(text))
    with Trail(path) as trail:
        first, second, third = (row.event.detail for row in trail.rows(action="search"))
    assert second == third
    assert first != third or details == "none" or third == first
    if kept is not None:
        assert third == kept
    else:
        assert re.fullmatch("[0-9a-f]{16}", third)
        assert first == second != "" or first != second
        assert b"smith" not in path.read_bytes()


def test_what_cannot_be_written_is_kept_until_it_can(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    with Audit(path) as audit:
        assert audit.flush()
        other = sqlite3.connect(path)
        other.execute("ALTER TABLE events RENAME TO elsewhere")
        other.commit()
        audit.record(event("q=1"))
        end = time.monotonic() + 20
        while audit.is_ready() and time.monotonic() < end:
            time.sleep(0.01)
        assert not audit.is_ready()
        with pytest.raises(AuditFailed):
            audit.record(event("q=2"))
        other.execute("ALTER TABLE elsewhere RENAME TO events")
        other.commit()
        other.close()
        assert audit.flush(20)
        assert audit.is_ready()
    with Trail(path) as trail:
        assert [row.event.detail for row in trail.rows(action="search")] == ["q=1"]
    assert verified(path) == 3


def test_events_that_are_lost_are_told(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    audit = Audit(path)
    assert audit.flush()
    other = sqlite3.connect(path)
    other.execute("ALTER TABLE events RENAME TO elsewhere")
    other.commit()
    other.close()
    with pytest.raises(CxrdexError, match="could not be written"):
        audit.close()


LINE = re.compile(
    r"<(\d+)>1 (\S+) (\S+) cxrdex (\d+) (\S+) "
    r'\[cxrdex@32473((?: \w+="(?:[^"\\\]]|\\["\\\]])*")+)\](?: \ufeff?(.*))?'
)


def test_messages_are_of_rfc_5424() -> None:
    assert message(AuditRow(1, event("q=å"), "s")).endswith(" \ufeffq=å")
    row = AuditRow(7, event('q="a]\\b"\nc', subject='x"]y', action="sign in", status=401), "s" * 64)
    found = LINE.fullmatch(message(row))
    assert found is not None
    assert (int(found[1]), found[5], found[7]) == (13 * 8 + 4, "sign-in", 'q="a]\\b" c')
    assert r'subject="x\"\]y"' in found[6]


@pytest.mark.parametrize("kind", ["udp", "unix"])
def test_rows_are_sent_to_syslog(tmp_path: Path, kind: str) -> None:
    family = socket.AF_INET if kind == "udp" else socket.AF_UNIX
    with socket.socket(family, socket.SOCK_DGRAM) as collector:
        collector.settimeout(20)
        if kind == "udp":
            collector.bind(("127.0.0.1", 0))
            target = f"127.0.0.1:{collector.getsockname()[1]}"
        else:
            target = str(tmp_path / "log")
            collector.bind(target)
        with Audit(tmp_path / "audit.sqlite", syslog=Syslog(target)) as audit:
            audit.record(event("q=effusion"))
        lines = [collector.recv(8192).decode() for _ in range(4)]
    kinds = [found[5] for line in lines if (found := LINE.fullmatch(line))]
    assert sorted(kinds)[0] == "head"
    assert {"start", "search"} <= set(kinds)


@pytest.mark.parametrize("target", ["nowhere", "host:", ":514", "/no/such/socket", "a:99999"])
def test_no_syslog(target: str) -> None:
    with pytest.raises(CxrdexError, match="`syslog`"):
        Syslog(target)


def test_it_is_listed_and_exported(path: Path) -> None:
    def told(*words: str) -> list[str]:
        done = CliRunner().invoke(cxrdex, ["audit", *words, "--audit", str(path)])
        assert done.exit_code == 0, done.output
        return done.output.splitlines()

    assert len(told("list", "--limit", "3")) == 3
    assert len(told("list", "--person", "ada")) == 10
    assert len(told("export")) == 12
    assert len(told("export", "--format", "csv")) == 13
    assert all(LINE.fullmatch(line) for line in told("export", "--format", "syslog"))
    assert "12 rows" in told("--verify")[0]


def test_there_is_no_audit(tmp_path: Path) -> None:
    words = ["audit", "list", "--audit", str(tmp_path / "none.sqlite")]
    done = CliRunner().invoke(cxrdex, words)
    assert (done.exit_code, "there is no audit" in done.output) == (4, True)
