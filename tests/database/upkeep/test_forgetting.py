"""What is removed leaves no byte: not in the ledger, the texts, the vectors or the pictures."""

from __future__ import annotations

import json
import random
import re
import sqlite3
import urllib.request
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cli.main import cxrdex
from indexer.archive.deidentify import Metadata, pseudonym
from indexer.archive.id_key import load_key
from indexer.archive.reports import Report
from indexer.database.choices import Choices
from indexer.database.layout import Layout
from indexer.database.outcomes import Header
from indexer.database.reader import DatabaseReader
from indexer.database.upkeep.verify import verify
from indexer.database.writer import Writer
from tests.database.making import KEY, entry, image_id, make_bundle, vector
from tests.elasticsearch_server import ElasticsearchServer
from tests.unpacked import contents

# Image 0 has no id that one could search for, and 1 begins as 10 does.
NUMBERS = range(2, 10)


def _canary(number: int) -> str:
    """A word that nothing else contains, in the report of study `number`.

    No part of it stands twice, so that LZ4 keeps its first occurrence in a block as it is.
    """
    return "".join(random.Random(number).sample("bcdfghjklmnpqrstvwxz", 14))


def _header(number: int) -> Header:
    """Two images a study, two studies a patient."""
    key, study = load_key(), number // 2
    return Header(
        pseudonym(key, "study", f"1.2.{study}"),
        pseudonym(key, "patient", f"\0P{study // 2}"),
        Metadata(),
        (pseudonym(key, "report", f"1.2.3.{number}"), f"study {study}"),
    )


def _find(report_keys: Sequence[str]) -> Report | None:
    study = int(report_keys[1].split()[1])
    return Report("0" * 12, {"findings": f"There is {_canary(study)} in the lung."}, (), ())


def _fill(path: Path, choices: Choices | None = None) -> Path:
    with Writer.open(path, make_bundle(), KEY, choices) as writer:
        writer.begin_run()
        writer.archive("/archive")
        for numbers in (NUMBERS[:3], NUMBERS[3:]):
            writer.commit([entry(n, header=_header(n)) for n in numbers], _find)
        writer.build_vectors()
        writer.end_run("complete", {})
    return path


def _found(folder: Path, *words: str) -> set[str]:
    """Names of the files that hold one of some words, in any case, in UTF-8 or UTF-16; packed or
    unpacked."""
    forms = [w.encode(code) for w in words for code in ("utf-8", "utf-16-le")]
    pattern = re.compile(b"|".join(map(re.escape, forms)), re.IGNORECASE)
    return {name for name, data in contents(folder) if pattern.search(data)}


def _in_text(path: Path, number: int) -> None:
    """The search sees in the text store what is searched for: packed documents, and terms."""
    for word in (_canary(number // 2), image_id(number)):
        found = _found(path / "text", word)
        assert "./terms" in found, (word, found)
        assert any(name.endswith(".store unpacked") for name in found), (word, found)


def _segments(path: Path) -> set[str]:
    return {file.name for file in (path / "text").iterdir() if len(file.stem) == 32}


def _run(*arguments: object, text: str | None = None) -> str:
    answer = CliRunner().invoke(cxrdex, [str(a) for a in arguments], input=text)
    assert answer.exit_code == 0, answer.output
    return answer.output


def _traces(number: int) -> tuple[str, ...]:
    return _canary(number // 2), image_id(number), f"picture {number}"


@pytest.fixture(params=[True, False], ids=["secure", "not secure"])
def sqlite_build(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if SQLite had been built with secure deletion or without it, and knew no pragma for it."""
    real = sqlite3.connect

    def connect(*given: Any, factory: Any = sqlite3.Connection, **options: Any) -> Any:
        class Connection(factory):  # type: ignore[misc]
            def execute(self, sql: str, *values: object) -> Any:
                if "secure_delete" in sql:
                    sql = f"PRAGMA secure_delete = {'ON' if request.param else 'OFF'}"
                return super().execute(sql, *values)

        return real(*given, factory=Connection, **options)

    monkeypatch.setattr(sqlite3, "connect", connect)


@pytest.mark.usefixtures("sqlite_build")
def test_prune_and_compact_leave_no_byte(tmp_path: Path) -> None:
    path = _fill(tmp_path / "db")
    gone = (4, 5, 6, 7)
    assert all(_found(path, word) for n in gone for word in _traces(n)), "the search sees nothing"
    for number in NUMBERS:
        _in_text(path, number)
    before = _segments(path)
    with Writer.maintain(path) as writer:
        writer.remove_files(1, [f"{n}.png" for n in gone])
        assert writer.settle() == 4
    _run("compact", "--database", path)
    assert _found(path, *(word for n in gone for word in _traces(n))) == set()
    for number in set(NUMBERS) - {*gone}:
        _in_text(path, number)
    # What is packed in ways that are not unpacked here, such as columns, was written anew, too.
    assert before.isdisjoint(_segments(path))
    assert verify(path) == []


@pytest.mark.parametrize(
    ("kind", "name", "images"),
    [
        ("patient", "P1", (4, 5, 6, 7)),
        ("study", "1.2.1", (2, 3)),
        ("image", "1.2.3.5", (5,)),
        ("image", image_id(7), (7,)),
    ],
)
def test_forget_leaves_no_byte_and_lasts(
    tmp_path: Path, kind: str, name: str, images: tuple[int, ...]
) -> None:
    path = _fill(tmp_path / "db")
    for number in NUMBERS:
        _in_text(path, number)
    before = _segments(path)
    names = tmp_path / "names"
    names.write_text(f"{name}\nunknown\n")
    printed = _run("forget", f"--{kind}", "--from", names, "--yes", "--database", path)
    assert f"{len(images)} images forgotten" in printed
    assert "1 of the names match no image" in printed
    assert name not in printed
    if kind == "image":
        # The other image of the study has the same report, and the id is kept from coming back.
        assert _found(path, *(f"picture {n}" for n in images)) == set()
        assert _found(path, *map(image_id, images)) == {"ledger.sqlite"}
    else:
        assert _found(path, *(word for n in images for word in _traces(n))) == set()
    for number in set(NUMBERS) - {*images}:
        _in_text(path, number)
    assert before.isdisjoint(_segments(path))
    assert verify(path) == []
    with DatabaseReader.open(path) as database:
        assert len(database) == len(NUMBERS) - len(images)
        assert not any(image_id(n) in database for n in images)
        assert database.ledger.forgotten.all()
    assert "1 allowed again" not in _run("status", "--database", path)


@pytest.mark.parametrize("command", ["compact", "forget"])
def test_what_a_killed_run_left_behind_goes_too(tmp_path: Path, command: str) -> None:
    path = _fill(tmp_path / "db")
    for name in (
        "scratch.sqlite",
        "embeddings/part-000099.npy.tmp",
        "vectors/generation-000099.tmp/index.faiss",
        "semantic/annotations-0-0.1-1.tmp",
    ):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text("canary of a draft")
    names = tmp_path / "names"
    names.write_text("P1\n")
    words = ["--patient", "--from", names, "--yes"] if command == "forget" else []
    assert len(_found(path, "canary of a draft")) == 4
    _run(command, *words, "--database", path)
    assert _found(path, "canary of a draft") == set()
    assert verify(path) == []


def test_names_are_asked_for_and_never_an_argument(tmp_path: Path) -> None:
    path = _fill(tmp_path / "db")
    printed = _run("forget", "--study", "--database", path, text="1.2.2\n\ny\n")
    assert "2 images forgotten" in printed
    wrong = CliRunner().invoke(cxrdex, ["forget", "--study", "1.2.1", "--database", str(path)])
    assert wrong.exit_code == 2
    nobody = CliRunner().invoke(
        cxrdex, ["forget", "--study", "--database", str(path)], input="1.2.77\n\n"
    )
    assert nobody.exit_code == 7
    with DatabaseReader.open(path) as database:
        assert len(database) == len(NUMBERS) - 2


def _ask(url: str, body: Mapping[str, object] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode() if body else b""
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_elasticsearch_keeps_nothing(
    tmp_path: Path, elasticsearch_server: ElasticsearchServer
) -> None:
    """Of its files: all bytes as they are, and what Lucene unpacks of them: dictionaries of terms,
    columns and stored documents, those of deleted documents included; it is seen there first.

    Lucene packs stored documents by LZ4, in which a canary, of which no part stands twice, is seen
    as it is. The server is asked, too: no segment holds a deleted document, and a list of terms,
    which would have those of deleted documents, has no id that is gone. Not proven is what the disk
    keeps of files that were deleted.
    """
    path = _fill(tmp_path / "db", Choices("elasticsearch", elasticsearch_server.url))
    _run("sync", "--database", path)
    data, url = elasticsearch_server.data, elasticsearch_server.url
    index = Layout(path).read_manifest().text_index
    # So that segments hold what the log has.
    _ask(f"{url}/{index}/_flush?force=true", {})

    def unpacked(*words: str) -> set[str]:
        """Those of some words that Lucene reads in its segments; an id also as its own field has
        it."""
        if not elasticsearch_server.can_unpack:
            return set()
        # Other databases on this server may say the same words; forgetting makes the index anew.
        (found,) = _ask(f"{url}/_cat/indices/{index}?format=json&h=uuid")
        held = elasticsearch_server.unpacked(found["uuid"])
        packed = {word: urlsafe_b64decode(word) for word in words if len(word) == 16}
        return {w for w in words if w.encode() in held or packed.get(w, b"\n\n") in held}

    def in_segments(*words: str) -> set[str]:
        return {name for name in _found(data, *words) if name.endswith((".fdt", ".cfs"))}

    def ids_of_terms() -> set[str]:
        body = {"field": "id", "size": 1000}
        return {*_ask(f"{url}/{index}/_terms_enum", body)["terms"]}

    def deleted() -> int:
        stats = _ask(f"{url}/{index}/_stats/docs")
        return int(stats["_all"]["total"]["docs"]["deleted"])

    assert all(in_segments(_canary(number)) for number in (2, 3, 4))
    if elasticsearch_server.can_unpack:
        every = {word for n in NUMBERS for word in (_canary(n // 2), image_id(n))}
        assert unpacked(*every) == every
    assert {image_id(number) for number in NUMBERS} <= ids_of_terms()
    names = tmp_path / "names"
    names.write_text("P1\n")
    _run("forget", "--patient", "--from", names, "--yes", "--database", path)
    assert _found(data, _canary(2), _canary(3), image_id(4)) == set()
    assert _found(path, _canary(2), _canary(3)) == set()
    assert ids_of_terms() == {image_id(n) for n in NUMBERS if n not in (4, 5, 6, 7)}
    assert deleted() == 0
    _ask(f"{url}/{index}/_flush?force=true", {})
    assert in_segments(_canary(4))
    assert in_segments(_canary(2), _canary(3)) == set()
    assert unpacked(_canary(2), _canary(3), *map(image_id, (4, 5, 6, 7))) == set()
    assert verify(path) == []
    # The same of what is gone from the archive.
    gone = [number for number in NUMBERS if number // 2 == 4]
    with Writer.maintain(path) as writer:
        writer.remove_files(1, [f"{number}.png" for number in gone])
        assert writer.settle() == len(gone) > 0
    _run("compact", "--database", path)
    assert _found(data, _canary(4), *map(image_id, gone)) == set()
    assert _found(path, _canary(4), *map(image_id, gone)) == set()
    assert ids_of_terms() == {image_id(2), image_id(3)}
    assert deleted() == 0
    _ask(f"{url}/{index}/_flush?force=true", {})
    assert in_segments(_canary(1))
    assert in_segments(_canary(4)) == set()
    assert unpacked(_canary(4), *map(image_id, gone)) == set()
    assert verify(path) == []


def test_elasticsearch_keeps_no_vector(
    tmp_path: Path, elasticsearch_server: ElasticsearchServer
) -> None:
    choices = Choices(None, elasticsearch_server.url, vector_store="elasticsearch")
    path = _fill(tmp_path / "db", choices)
    _run("sync", "--database", path)

    def kept(number: int) -> set[str]:
        raw = vector(number).astype(np.float16).astype("<f4").tobytes()
        files = (file for file in elasticsearch_server.data.rglob("*") if file.is_file())
        return {file.name for file in files if raw in file.read_bytes()}

    assert kept(4)
    names = tmp_path / "names"
    names.write_text("P1\n")
    _run("forget", "--patient", "--from", names, "--yes", "--database", path)
    assert kept(4) == kept(5) == set()
    assert kept(8)
    assert verify(path) == []


def test_undo_says_what_it_does_not_know(tmp_path: Path) -> None:
    path = _fill(tmp_path / "db")
    names = tmp_path / "names"
    names.write_text("1.2.1\n1.2.2\n")
    _run("forget", "--study", "--from", names, "--yes", "--database", path)
    names.write_text("1.2.1\n1.2.77\n\n")
    printed = _run("forget", "--study", "--from", names, "--undo", "--database", path)
    assert "1 allowed again" in printed
    assert "1 of the names were not among the forgotten" in printed
    again = _run(
        "forget", "--study", "--from", names, "--undo", "--format", "json", "--database", path
    )
    assert json.loads(again) == {"allowed": 0, "unknown": 2}
