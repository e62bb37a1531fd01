"""Parts that do not go together, and merges that end before their end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from indexer.annotation import Annotation
from indexer.database.choices import Choices
from indexer.database.cohorts.store import Cohorts
from indexer.database.labels.events import Draft
from indexer.database.layout import Layout
from indexer.database.ledger.labels import LabelFile
from indexer.database.ledger.ledger import Ledger
from indexer.database.reader import DatabaseReader
from indexer.database.upkeep.merge import merge
from indexer.database.upkeep.verify import verify
from indexer.database.writer import Writer
from indexer.errors import CxrdexError, DatabaseError, DatabaseLocked, DatabaseMismatch
from tests.database.making import KEY, entry, fill, image_id, make_bundle, opened

EMBEDDED = Choices("embedded")


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Path, Path]:
    """Images 0 to 11, and images 8 to 19, of two archives."""
    with Writer.open(tmp_path / "two", make_bundle(), KEY) as writer:
        writer.begin_run()
        writer.archive("/other")
        writer.commit([entry(number) for number in range(8, 20)])
        writer.end_run("complete", {})
    return fill(tmp_path / "one", 12), tmp_path / "two"


def change(path: Path, **fields: Any) -> None:
    manifest = json.loads(Layout(path).manifest.read_text()) | fields
    (path / "checksums.json").unlink(missing_ok=True)
    Layout(path).manifest.write_text(json.dumps(manifest))


def refused(parts: tuple[Path, Path], kind: type[CxrdexError], target: Path) -> str:
    with pytest.raises(kind) as caught:
        merge(parts, target, EMBEDDED)
    assert not target.exists()
    return str(caught.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"bundle": "f" * 16}, "the bundle paper (00112233aabbccdd)"),
        ({"key": "99999999"}, "the id key 0123abcd"),
        ({"thresholds": None}, "studies pooled by the thresholds normal 0.5, opacity 0.5"),
        ({"polarity": {"Acme": True}}, "the polarity none"),
        ({"dimensions": 32}, "vectors of the length 16"),
    ],
)
def test_made_differently(
    parts: tuple[Path, Path], tmp_path: Path, fields: dict[str, Any], words: str
) -> None:
    change(parts[1], **fields)
    told = refused(parts, DatabaseMismatch, tmp_path / "db")
    assert all(str(part) in told for part in parts)
    assert words in told


def test_other_schemas(parts: tuple[Path, Path], tmp_path: Path) -> None:
    ledger = Ledger(Layout(parts[1]).ledger, write=True)
    (now,) = ledger.connection.execute("PRAGMA user_version").fetchone()
    for version, words in ((now - 1, "bring it up to this version"), (now + 1, "newer cxrdex")):
        ledger.connection.execute(f"PRAGMA user_version = {version}")
        (parts[1] / "checksums.json").unlink(missing_ok=True)
        told = refused(parts, DatabaseMismatch, tmp_path / "db")
        assert words in told
        assert str(parts[1]) in told
    ledger.close()
    change(parts[1], format=7)
    assert "has format 7" in refused(parts, DatabaseMismatch, tmp_path / "db")


def test_names(parts: tuple[Path, Path], tmp_path: Path) -> None:
    one, two = parts
    target = tmp_path / "db"
    for wrong, words in (
        ([one], "at least two"),
        ([one, two, one.parent / "." / "two"], "named twice"),
        ([one, tmp_path / "none"], "no database at"),
    ):
        with pytest.raises(DatabaseError, match=words):
            merge(wrong, target, EMBEDDED)
    with pytest.raises(DatabaseError, match="a database already"):
        merge(parts, one, EMBEDDED)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("words")
    with pytest.raises(DatabaseError, match="is not empty"):
        merge(parts, tmp_path / "full", EMBEDDED)
    with opened(one), pytest.raises(DatabaseLocked):
        merge(parts, target, EMBEDDED)
    (tmp_path / "empty").mkdir()
    assert merge(parts, tmp_path / "empty", EMBEDDED).images == 20


def test_a_damaged_part(parts: tuple[Path, Path], tmp_path: Path) -> None:
    shard = next((parts[1] / "embeddings").glob("part-*1.npy"))
    good = shard.read_bytes()
    shard.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    told = refused(parts, DatabaseError, tmp_path / "db")
    assert str(shard) in told
    assert "is damaged" in told
    shard.unlink()
    assert "cannot be read" in refused(parts, DatabaseError, tmp_path / "db")
    # What was begun is gone but for the lock, and the next try succeeds.
    shard.write_bytes(good)
    assert merge(parts, tmp_path / "db", EMBEDDED).images == 20
    assert verify(tmp_path / "db") == []


def test_a_part_that_cannot_be_written(parts: tuple[Path, Path], tmp_path: Path) -> None:
    """Parts are left as they are, to the byte."""

    def contents() -> dict[str, bytes]:
        return {
            str(path): path.read_bytes()
            for part in parts
            for path in part.rglob("*")
            if path.is_file() and path.suffix not in (".lock",) and "-shm" not in path.name
        }

    before = contents()
    merge(parts, tmp_path / "db", EMBEDDED)
    assert contents() == before


_MERGE = """
import sys
from pathlib import Path
from indexer.database.choices import Choices
from indexer.database.upkeep.merge import merge
*parts, target = map(Path, sys.argv[1:])
print("ready", flush=True)
merge(parts, target, Choices("embedded"))
"""


@pytest.mark.skipif(os.name != "posix", reason="uses SIGKILL")
def test_killed(tmp_path: Path) -> None:
    """Wherever it is killed there is no database, or the whole one; then it is made anew."""
    fill(tmp_path / "one", 400, per_shard=20)
    with Writer.open(tmp_path / "two", make_bundle(), KEY) as writer:
        writer.begin_run()
        writer.archive("/other")
        for start in range(300, 700, 20):
            writer.commit([entry(number) for number in range(start, start + 20)])
        writer.end_run("complete", {})
    target = tmp_path / "db"
    words = [sys.executable, "-c", _MERGE, *map(str, (tmp_path / "one", tmp_path / "two", target))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def run(seconds: float | None) -> float:
        with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout is not None
            process.stdout.readline()
            started = time.monotonic()
            if seconds is not None:
                time.sleep(seconds)
                process.send_signal(signal.SIGKILL)
            process.wait()
        return time.monotonic() - started

    duration = run(None)
    assert verify(target) == []
    shutil.rmtree(target)
    unfinished = 0
    for step in range(4):
        run(duration * (step + 0.5) / 4)
        if target.exists():
            assert verify(target) == []
            shutil.rmtree(target)
        else:
            unfinished += 1
            with pytest.raises(DatabaseError, match="no database at"):
                DatabaseReader.open(target)
    assert unfinished >= 2
    run(None)
    assert verify(target) == []
    with DatabaseReader.open(target) as database:
        assert len(database) == 700
    assert not list(tmp_path.glob(".*"))


def say(path: Path, image: str, person: str, *drafts: Draft) -> None:
    file = LabelFile(Layout(path).labels, write=True)
    file.record(image, drafts, person)
    file.close()


def accept(finding: str, *words: str) -> Draft:
    return Draft(
        action="accept", finding=finding, annotation=Annotation.from_words("human", finding, words)
    )


REJECT = Draft(action="reject", finding="opacity")


def test_what_people_said(parts: tuple[Path, Path], tmp_path: Path) -> None:
    """Images 8 to 11 are in both parts; of what is said differently the newest counts."""
    say(parts[0], image_id(8), "ann", REJECT, accept("mass", "right"))
    say(parts[0], image_id(0), "ann", REJECT)
    say(parts[0], image_id(0), "ann", Draft(action="undo", finding="opacity", undoes=3))
    time.sleep(1.1)
    say(parts[1], image_id(8), "bob", accept("opacity", "left"), accept("mass", "right"))
    say(parts[1], image_id(19), "bob", REJECT)
    done = merge(parts, tmp_path / "db", EMBEDDED)
    assert (done.labels.events, done.labels.conflicts) == (7, 1)
    assert verify(tmp_path / "db") == []
    with DatabaseReader.open(tmp_path / "db") as database:

        def said(image: str) -> list[str]:
            found = database.image(image).document["annotations"]
            return [f"{a['origin']}: {a['text']}" for a in found]

        assert sorted(said(image_id(8))) == ["human: mass, right", "human: opacity, left"]
        assert said(image_id(0)) == ["predicted: opacity, left"]
        assert said(image_id(19)) == []
    # A copy of a database brings nothing that was said before the copy a second time.
    copy = Path(shutil.copytree(parts[0], tmp_path / "copy"))
    say(copy, image_id(3), "cid", REJECT)
    again = merge([parts[0], copy, parts[1]], tmp_path / "again", EMBEDDED)
    assert (again.labels.events, again.labels.conflicts) == (8, 1)


def test_what_people_collected(parts: tuple[Path, Path], tmp_path: Path) -> None:
    one, two = (Cohorts(Layout(part).cohorts) for part in parts)
    mine = one.add("Effusions", "ann", images=[image_id(1), image_id(9)])
    other = two.add("Masses", "bob", images=[image_id(19)])
    two.put(mine)
    two.change(mine.id, lambda cohort: cohort.with_images([image_id(18)]))
    one.put(other)
    done = merge(parts, tmp_path / "db", EMBEDDED)
    assert (done.cohorts.cohorts, done.cohorts.conflicts) == (3, 1)
    found = Cohorts(Layout(tmp_path / "db").cohorts)
    assert found.get(mine.id).images == (image_id(1), image_id(9), image_id(18))
    assert found.get(other.id) == other
    (kept,) = (found.get(c.id) for c in found.all() if c.id not in (mine.id, other.id))
    assert (kept.name, kept.images) == ("Effusions", mine.images)
    assert verify(tmp_path / "db") == []
